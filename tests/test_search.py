"""The search for a plan: budget, halving, equal conditions, what survives, what is refused."""

import collections
import functools
import gc
import importlib
import itertools
import math
import random
import sys

import keras
import keras_tuner
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.base.outputs import OutputsOfTeachers
from keras_smskd.search import PlanSearch, report
from keras_smskd.search.parts import parts_of
from keras_smskd.search.plans import Plan, Term
from keras_smskd.search.rungs import Rung, divided, rungs_of, total
from keras_smskd.search.space import Limits, Space, singles_of
from tests.models import CLASSES, Counter, dense, label_loss, vectors

pytestmark = pytest.mark.compiles

HIDDEN = {"hidden": "hidden"}
METHODS = {
    "KD": smskd.KDDistiller,
    "FitNet": lambda teacher, student: smskd.FitNetDistiller(teacher, student, layers=HIDDEN),
    "RKD": lambda teacher, student: smskd.RKDDistiller(teacher, student, layers=HIDDEN),
}
X, Y = vectors()
DATA = {"x": X, "y": Y, "validation_data": (X, Y), "verbose": 0}


def student():
    return dense(5)


def search_of(methods=METHODS, factory=student, teacher=None, compiled=True, **kwargs):
    arguments = {"max_stages": 2, "reference_weights": (0.0, 2.0), "epochs": 6, "budget": 60, **kwargs}
    keras.utils.set_random_seed(0)
    search = PlanSearch(teacher or dense(16), factory, methods, **arguments)
    if compiled:
        search.compile("sgd", label_loss(), metrics=["accuracy"])
    return search


@functools.cache
def default_weights():
    return {name: float(make(dense(16), dense(5)).distillation_weight.numpy()) for name, make in METHODS.items()}


class Stub:
    """In place of training: notes what is trained, and gives every plan a value of its own."""

    def __init__(self, monkeypatch, value=None):
        self.value = value or self.of_plan
        self.trained = []
        self.students = []
        stub = self
        monkeypatch.setattr(smskd.SequentialDistiller, "fit", lambda sequence, **kwargs: stub.fit(sequence, kwargs))
        monkeypatch.setattr(gc, "collect", lambda: 0)  # It would take longer than all else.

    @staticmethod
    def key(sequence):
        stages = []
        for stage in sequence.stages:
            names = stage.name.split(" + ")
            distillers = getattr(stage.distiller, "distillers", [stage.distiller])
            weights = [float(distiller.distillation_weight.numpy()) for distiller in distillers]
            pairs = zip(names, weights, strict=True)
            stages.append(
                " + ".join(f"{weight / default_weights().get(name, 1.0):.3g} * {name}" for name, weight in pairs)
            )
        reference = sequence.reference_weight if len(stages) > 1 else 0.0
        return (" > ".join(stages), reference), tuple(stage.epochs for stage in sequence.stages)

    @staticmethod
    def of_plan(key, epochs):
        return random.Random(repr(key)).random() + 0.01 * sum(epochs)

    def fit(self, sequence, arguments):
        key, epochs = self.key(sequence)
        self.trained.append((key, epochs))
        self.students.append(sequence.student.get_weights())
        history = keras.callbacks.History()
        history.history = {"val_accuracy": [0.0, self.value(key, epochs)]}
        return history


@pytest.fixture
def stub(monkeypatch):
    return Stub(monkeypatch)


def divisions(methods, weights, max_stages=3, max_joint=2, **divided):
    """The rungs of the parts."""
    limits = Limits(max_stages, max_joint, (0.0, 1.0, 3.0))
    arguments = {"factor": 3, "min_epochs": 1, "seed": 0, **divided}
    return [part.rungs for part in parts_of("abcdefghi"[:methods], (0.1, 1.0, 10.0)[:weights], limits, **arguments)]


def test_the_budgets_of_the_docs():
    single = [Rung(27, 1), Rung(9, 4), Rung(3, 12)]
    assert divisions(9, 3, epochs=12, budget=288) == [single, [Rung(23, 4), Rung(7, 12)]]
    assert divisions(9, 3, max_stages=1, epochs=12, budget=288) == [single, [Rung(15, 12)]]
    assert divisions(9, 3, max_stages=1, max_joint=1, epochs=12, budget=288) == [[Rung(27, 4), Rung(9, 12)]]
    assert divisions(9, 3, epochs=30, budget=600) == [
        [Rung(27, 3), Rung(9, 10), Rung(3, 30)],
        [Rung(35, 3), Rung(11, 10), Rung(3, 30)],
    ]
    assert divisions(9, 3, epochs=30, budget=120) == [[Rung(3, 10), Rung(1, 30)]] * 2


def test_the_budget_of_both_parts_is_held():
    for methods, weights, more, max_stages, max_joint in itertools.product((2, 5), (1, 3), (0, 7, 99), (1, 3), (1, 2)):
        budget = 4 * 12 + more
        parts = divisions(methods, weights, max_stages, max_joint, epochs=12, budget=budget)
        assert len(parts) == (1 if max_stages == max_joint == 1 else 2)
        assert total(itertools.chain(*parts)) <= budget
        assert all(rungs[-1].epochs == 12 for rungs in parts)
        for first, *_ in parts[1:]:
            assert total(parts[0]) <= budget / 2
            assert parts[0][0].plans > 1
            assert first.epochs >= max_stages


def test_one_method_cannot_be_composed():
    assert divisions(1, 3, epochs=12, budget=12) == divisions(1, 3, 1, 1, epochs=12, budget=12) == [[Rung(1, 12)]]


def test_a_budget_is_held_and_used():
    for epochs, more, factor, min_epochs, plans in itertools.product((1, 5, 12), (0, 7, 90), (2, 3), (1, 4), (2, 40)):
        if min_epochs > epochs:
            continue
        budget = epochs + more
        rungs = rungs_of(epochs, budget, factor, min_epochs=min_epochs, plans=plans)
        lengths = [rung.epochs for rung in rungs]
        assert sum(rung.plans * rung.epochs for rung in rungs) <= budget
        assert lengths[-1] == epochs
        assert lengths[0] >= min_epochs
        assert all(
            b.plans == a.plans // factor and a.epochs == b.epochs // factor for a, b in itertools.pairwise(rungs)
        )
        assert rungs[-1].plans >= 1
        further = rungs[0].plans + 1
        costs = sum(further // factor**index * length for index, length in enumerate(lengths))
        assert further > plans or costs > budget


def test_epochs_are_divided():
    assert [divided(epochs, 3) for epochs in (3, 10, 11)] == [[1, 1, 1], [4, 3, 3], [4, 4, 3]]


TERMS = [Term("a", 0.1), Term("b", 1.0), Term("c", 10.0), Term("d", 1.0)]


def test_the_plans_are_all_there_are():
    references = (0.0, 1.0, 3.0)
    stages = [chosen for size in (1, 2) for chosen in itertools.combinations(TERMS[:3], size)]
    expected = {Plan((stage,)) for stage in stages if len(stage) == 2}
    for number in (2, 3):
        orders = itertools.product(stages, repeat=number)
        orders = [order for order in orders if all(a != b for a, b in itertools.pairwise(order))]
        expected |= {Plan(order, reference) for order, reference in itertools.product(orders, references)}
    space = Space(TERMS[:3], Limits(3, 2, references, leading=3))
    drawn = space.draw(10_000, seed=0)
    assert len(drawn) == space.size == len(expected) == 3 + 6 * 5 * 3 + 6 * 5 * 5 * 3
    assert set(drawn) == expected


def test_plans_are_drawn_by_their_stages_and_a_seed():
    space = Space(TERMS, Limits(3, 2, (0.0, 1.0), leading=4))
    drawn = space.draw(12, seed=0)
    assert collections.Counter(len(plan.stages) for plan in drawn) == {1: 4, 2: 4, 3: 4}
    assert collections.Counter(len(plan.stages) for plan in space.draw(23, seed=0)) == {1: 6, 2: 9, 3: 8}
    assert len(set(drawn)) == 12
    assert drawn == space.draw(12, seed=0) != space.draw(12, seed=1)
    assert {len(plan.stages[0]) for plan in Space(TERMS, Limits(1, 3, (0.0,))).draw(99, seed=0)} == {2, 3}
    assert len(Space(TERMS, Limits(99, 2, (0.0,))).draw(99, seed=0)[-1].stages) == 99


def test_one_of_the_best_leads_every_stage():
    leading, others = TERMS[:2], TERMS[2:]
    space = Space(TERMS, Limits(2, 2, (0.0,)))
    stages = {stage for plan in space.draw(999, seed=0) for stage in plan.stages}
    assert stages == {*((term,) for term in leading), tuple(leading), *itertools.product(leading, others)}
    assert space.size == 5 + 7 * 6


def test_every_method_is_tried_with_one_weight_before_a_second_one():
    singles = singles_of("abc", (0.1, 1.0), seed=0)
    assert {plan.text for plan in singles} == {f"{weight} * {name}" for weight in ("0.1", "1") for name in "abc"}
    assert len(singles) == 6
    for part in (singles[:3], singles[3:]):
        assert {plan.stages[0][0].method for plan in part} == set("abc")
    assert singles == singles_of("abc", (0.1, 1.0), seed=0) != singles_of("abc", (0.1, 1.0), seed=1)


def test_a_plan_is_read_as_it_is_written():
    joint = (Term("Fit Net", 0.1 + 0.2), Term("KD", 1e20))
    plan = Plan((joint, (Term("DKD", 10.0),), joint), 3.0)
    assert plan.text == (
        "0.30000000000000004 * Fit Net + 1e+20 * KD > 10 * DKD > 0.30000000000000004 * Fit Net + 1e+20 * KD"
    )
    assert Plan.read(plan.text, 3.0) == plan


def test_the_halving_keeps_the_best(stub):
    search = search_of()
    results = search.fit(**DATA)
    assert search.rungs == [Rung(6, 2), Rung(2, 6), Rung(9, 2), Rung(3, 6)]
    trained = iter(stub.trained)
    rungs = [dict(itertools.islice(trained, rung.plans)) for rung in search.rungs]
    assert list(trained) == []
    for of_rung, rung in zip(rungs, search.rungs):
        assert len(of_rung) == rung.plans
        assert {sum(epochs) for epochs in of_rung.values()} == {rung.epochs}
    for first, last in (rungs[:2], rungs[2:]):
        ranked = sorted(first, key=lambda key: stub.of_plan(key, first[key]))
        assert set(last) == set(ranked[-len(last) :])
    assert sum(result["epochs"] for result in results) == sum(sum(epochs) for _, epochs in stub.trained) <= 60
    expected = sorted(((sum(epochs), stub.of_plan(key, epochs)) for key, epochs in stub.trained), reverse=True)
    np.testing.assert_allclose([(result["epochs"], result["val_accuracy"]) for result in results], expected)


def kd(teacher, student):
    return smskd.KDDistiller(teacher, student, distillation_weight=1.0)


def test_plans_are_composed_of_the_best_methods(stub):
    """Those of most epochs are the best, whatever the value of shorter trials, and each has its best weight."""
    best = ["0.1 * c", "1 * c", "1 * a", "0.1 * a", "1 * e"]

    def value(key, epochs):
        place = best.index(key[0]) if key[0] in best else 9
        shortest = sum(epochs) == 1
        return (place if shortest and place < 9 else -place) - 10 * sum(epochs)

    stub.value = value
    search = search_of(dict.fromkeys("abcde", kd), reference_weights=(2.0,), epochs=4, budget=60, factor=2)
    results = search.fit(**DATA)
    assert search.rungs == [Rung(10, 1), Rung(5, 2), Rung(2, 4), Rung(8, 4)]
    plans = {(result["plan"], result["reference_weight"]) for result in results}
    composed = [plan for plan, _ in plans if " > " in plan or " + " in plan]
    assert len(composed) == 8
    stages = [set(stage.split(" + ")) for plan in composed for stage in plan.split(" > ")]
    assert all(stage & {best[0], best[2]} for stage in stages)
    terms = set.union(*stages)
    assert {best[0], best[2]} < terms
    assert not {best[1], best[3], "0.1 * e"} & terms
    assert all(weight == (2.0 if " > " in plan else 0.0) for plan, weight in plans)
    assert {plan for plan, _ in plans} == {key[0] for key, _ in stub.trained}


def test_single_methods_alone(stub):
    search = search_of(max_stages=1, max_joint=1, budget=24)
    results = search.fit(**DATA)
    assert search.rungs == [Rung(6, 2), Rung(2, 6)]
    assert {result["plan"] for result in results} == {
        f"{weight} * {name}" for weight in ("0.1", "1") for name in METHODS
    }
    assert {result["reference_weight"] for result in results} == {0.0}


def test_a_joint_stage_has_the_distillers_of_its_methods(stub):
    stub.value = lambda key, epochs: float(" + " in key[0])
    search = search_of(max_stages=1)
    best = search.fit(**DATA)[0]
    (stage,) = search.best_sequence().stages
    assert isinstance(stage.distiller, smskd.JointDistiller)
    assert stub.key(search.best_sequence())[0][0] == best["plan"]
    assert best["plan"].count(" + ") == 1


def test_what_is_lowest_is_best_for_a_loss(stub):
    search = search_of(objective=keras_tuner.Objective("val_accuracy", "min"))
    results = search.fit(**DATA)
    finals = [result["val_accuracy"] for result in results if result["epochs"] == 6]
    assert finals == sorted(finals)
    assert finals[0] == pytest.approx(min(stub.of_plan(*trial) for trial in stub.trained if sum(trial[1]) == 6))


def test_the_best_sequence_is_that_of_the_best_trial(stub):
    search = search_of()
    best = search.fit(**DATA)[0]
    sequence = search.best_sequence()
    expected = max((trial for trial in stub.trained if sum(trial[1]) == 6), key=lambda trial: stub.of_plan(*trial))
    assert stub.key(sequence) == expected
    assert best["plan"] == expected[0][0]
    assert sequence.compiled
    assert best["reference_weight"] == (sequence.reference_weight if len(sequence.stages) > 1 else 0.0)
    assert sum(stage.epochs for stage in search.best_sequence(epochs=9).stages) == 9
    assert search.best_sequence().student is not sequence.student


def test_every_student_starts_from_the_same_weights(stub):
    seeds = itertools.count()
    search = search_of(factory=lambda: dense(5, kernel_initializer=keras.initializers.RandomNormal(seed=next(seeds))))
    search.fit(**DATA)
    sequences = [search.best_sequence(), search.best_sequence()]
    for weights in [*stub.students, *(sequence.student.get_weights() for sequence in sequences)]:
        for weight, expected in zip(weights, stub.students[0], strict=True):
            np.testing.assert_array_equal(weight, expected)
    first, second = (sequence.stages[0].distiller.get_weights() for sequence in sequences)
    for weight, expected in zip(first, second, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("cut_off", [3, 6])
def test_a_search_goes_on(tmp_path, stub, cut_off):
    """Where it was, be it in the first part or in the second, whose plans are those of a search without a break."""
    calls = []

    def interrupted(key, epochs):
        calls.append(key)
        if len(calls) == cut_off:
            raise KeyboardInterrupt
        return stub.of_plan(key, epochs)

    search = search_of(budget=24)
    assert search.rungs == [Rung(3, 2), Rung(1, 6), Rung(3, 2), Rung(1, 6)]
    expected = search.fit(**DATA)
    whole, stub.trained = stub.trained, []
    stub.value = interrupted
    with pytest.raises(KeyboardInterrupt):
        search_of(budget=24, directory=tmp_path).fit(**DATA)
    assert stub.trained == whole[:cut_off]
    results = search_of(budget=24, directory=tmp_path).fit(**DATA)
    assert stub.trained == [*whole[:cut_off], *whole[cut_off - 1 :]]
    assert results == expected
    count = len(stub.trained)
    again = search_of(budget=24, directory=tmp_path)
    assert again.fit(**DATA) == expected
    assert len(stub.trained) == count
    assert stub.key(again.best_sequence())[0] == (expected[0]["plan"], expected[0]["reference_weight"])
    of_plans = ({"weights": (0.5,)}, {"reference_weights": (0.5,)}, {"max_joint": 1}, {"factor": 4})
    for changed in ({"seed": 1}, {"teacher": dense(12)}, {"factory": lambda: dense(4)}, *of_plans):
        with pytest.raises(ValueError, match=r"`directory` .* holds another search: .*resume=False"):
            search_of(budget=24, directory=tmp_path, **changed).fit(**DATA)
    search_of(budget=24, directory=tmp_path).fit(**DATA, resume=False)
    assert len(stub.trained) == count + len(whole)


def test_a_trial_that_fails_is_worst(stub, tmp_path):
    def value(key, epochs):
        if "FitNet" in key[0]:
            raise FloatingPointError("the loss is not finite")
        return math.nan if "RKD" in key[0] else stub.of_plan(key, epochs)

    stub.value = value
    results = search_of(directory=tmp_path).fit(**DATA)
    failed = [result for result in results if "FitNet" in result["plan"] or "RKD" in result["plan"]]
    assert failed
    assert [id(result) for result in results[-len(failed) :]] == [id(result) for result in failed]
    assert all(math.isnan(result["val_accuracy"]) and result["epochs"] == 2 for result in failed)
    reasons = {result["failure"] for result in failed}
    assert reasons == {"the loss is not finite", "`val_accuracy` is nan"}
    assert {result["plan"] for result in results[:4]} == {"0.1 * KD", "1 * KD"}
    assert results[0]["failure"] is None
    count = len(stub.trained)
    assert str(search_of(directory=tmp_path).fit(**DATA)) == str(results)
    assert len(stub.trained) == count


def test_a_search_ends_if_all_trials_fail(stub):
    def value(key, epochs):
        raise FloatingPointError("the loss is not finite")

    stub.value = value
    search = search_of()
    with pytest.raises(FloatingPointError, match="All .* trials failed. The first: the loss is not finite"):
        search.fit(**DATA)
    with pytest.raises(ValueError, match="needs a trial that succeeded"):
        search.best_sequence()


def test_a_loss_that_is_not_finite():
    methods = {"KD": smskd.KDDistiller, "bad": lambda t, s: smskd.KDDistiller(t, s, distillation_weight=3e38)}
    search = search_of(methods, max_stages=1, max_joint=1, weights=(1.0,), epochs=1, budget=2)
    good, bad = search.fit(**DATA)
    assert (good["plan"], bad["plan"]) == ("1 * KD", "1 * bad")
    assert good["failure"] is None
    assert "not finite" in bad["failure"]


class Against(smskd.Distiller):
    """Teaches the student the opposite."""

    def distillation_loss(self, teacher, student, y):
        return keras.ops.mean((teacher["logits"] + student["logits"]) ** 2, axis=-1)


def test_the_best_plan_is_found():
    keras.utils.set_random_seed(0)
    teacher = dense(16)
    x, _ = vectors(256)
    y = teacher.predict(x, verbose=0).argmax(axis=-1)
    methods = {"KD": smskd.KDDistiller, "against": lambda t, s: Against(t, s, label_weight=0.0)}
    search = search_of(
        methods, teacher=teacher, weights=(1.0,), reference_weights=(0.0,), epochs=4, budget=36, factor=2
    )
    search.compile(keras.optimizers.Adam(0.02), label_loss(), metrics=["accuracy"])
    results = search.fit(x[:192], y[:192], batch_size=16, validation_data=(x[192:], y[192:]), verbose=0)
    stages = ["1 * KD", "1 * against", "1 * KD + 1 * against"]
    assert {result["plan"] for result in results} == {*stages, *map(" > ".join, itertools.permutations(stages, 2))}
    assert results[0]["plan"] == "1 * KD"
    assert results[0]["val_accuracy"] > 0.6
    assert results[-1]["val_accuracy"] < 0.4


def with_counter():
    """A teacher, and the list of its calls: of every step, as the search trains eagerly."""
    counter = Counter()
    inputs = keras.Input((6,))
    x = keras.layers.Dense(16, name="first")(counter(inputs))
    x = keras.layers.Dense(16, name="second")(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x)), counter.calls


def fitnet_on(layer):
    return lambda teacher, student: smskd.FitNetDistiller(teacher, student, layers={layer: "hidden"})


def calls_of_search(samples):
    teacher, calls = with_counter()
    methods = {layer: fitnet_on(layer) for layer in ("first", "second")}
    search = search_of(methods, teacher=teacher, max_stages=1, weights=(1.0,), epochs=1, budget=4, compiled=False)
    search.compile("sgd", label_loss(), metrics=["accuracy"], run_eagerly=True)
    x, y = vectors(samples)
    results = search.fit(x, y, validation_data=(x, y), batch_size=16, cache=True, verbose=0)
    plans = {frozenset(result["plan"].split(" + ")) for result in results}
    assert plans == {frozenset({"1 * first"}), frozenset({"1 * second"}), frozenset({"1 * first", "1 * second"})}
    return len(calls)


def test_the_teacher_sees_the_data_once(monkeypatch):
    predict, computed = OutputsOfTeachers.predict_on_batch, []

    def predict_on_batch(model, x):
        computed.append(len(x))
        return predict(model, x)

    monkeypatch.setattr(OutputsOfTeachers, "predict_on_batch", predict_on_batch)
    few = calls_of_search(16)
    assert computed == [16]
    computed.clear()
    assert calls_of_search(48) - few <= 2  # The two further batches; the steps would be four more.
    assert computed == [16, 16, 16]


def test_no_trial_stays_in_memory():
    alive = []

    def count(logs):
        alive.append(sum(issubclass(type(each), smskd.Distiller) for each in gc.get_objects()))

    gc.collect()
    search = search_of(max_stages=1, max_joint=1, weights=(1.0,), epochs=1, budget=3)
    search.fit(**DATA, callbacks=[keras.callbacks.LambdaCallback(on_train_begin=count)])
    assert len(alive) == 3
    assert len(set(alive[1:])) == 1


def test_the_optimizer_of_the_epochs_of_a_stage(stub):
    asked = []

    def optimizer(epochs):
        asked.append(epochs)
        return keras.optimizers.SGD(1.0 / epochs)

    search = search_of(compiled=False)
    search.compile(optimizer, label_loss(), metrics=["accuracy"])
    search.fit(**DATA)
    assert {1, 2, 3, 6} >= set(asked) >= {1, 2, 3}
    for stage in search.best_sequence().stages:
        assert float(stage.distiller.optimizer.learning_rate.numpy()) == pytest.approx(1.0 / stage.epochs)


class WithoutConfig(keras.Model):
    """A student that cannot be cloned."""

    def __init__(self, width):
        super().__init__()
        self.hidden, self.head = keras.layers.Dense(width), keras.layers.Dense(CLASSES)
        self(np.zeros((2, 6), "float32"))

    def call(self, x):
        return self.head(self.hidden(x))


def test_a_student_that_cannot_be_cloned(stub):
    methods = {"KD": smskd.KDDistiller, "DKD": smskd.DKDDistiller}
    search = search_of(methods, factory=lambda: WithoutConfig(3), reference_weights=(1.0,))
    search.fit(**DATA)
    assert any(" > " in key[0] for key, _ in stub.trained)


def test_it_says_what_it_does(stub, capsys):
    search = search_of()
    search.fit(**{**DATA, "verbose": 1})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "Plans: single methods, 6 for 2, then 2 for 6 epochs; led by the best, 9 for 2, then 3 for 6 epochs; "
        "60 epochs of a budget of 60."
    )
    best = search.results()[0]
    assert any(f"{best['plan']}, reference_weight " in line and f"{best['val_accuracy']:.4f}" in line for line in lines)
    said = []
    search.summary(num_trials=2, print_fn=said.append)
    assert best["plan"] in said[1]
    assert f"{best['val_accuracy']:.4f}" in said[1]


def test_its_table_in_a_notebook(in_a_notebook):
    result = {"plan": "1 * KD > 0.5 * SP", "reference_weight": 0.0, "epochs": 3, "failure": None}
    text = report.table([{**result, "val_loss": 0.25}], "val_loss")
    assert "1 * KD > 0.5 * SP" in text
    assert "\x1b" not in text


def of_other_input(teacher, student):
    return smskd.KDDistiller(teacher, student, teacher_preprocessing=lambda x: 2 * x)


TABLE = [
    ({"methods": []}, "`methods` must be a dict"),
    *(({"methods": {f"a{sign}b": smskd.KDDistiller}}, "names without '>', '\\+' and '\\*'") for sign in ">+*"),
    ({"methods": {"KD": smskd.KDDistiller, "other": of_other_input}}, "`methods` must fit .* unless `max_joint` is 1"),
    ({"methods": {"KD": 1}}, r"`methods\['KD'\]` must be a function"),
    ({"methods": {"KD": lambda t, s: None}}, r"`methods\['KD'\]` must return a distiller"),
    ({"methods": {"KD": lambda t, s: smskd.KDDistiller(t, dense(5))}}, "the student that it is called with"),
    ({"methods": {"KD": lambda t, s: smskd.KDDistiller(dense(9), s)}}, "of the teacher"),
    ({"factory": lambda: None}, "`student_factory` must return a new"),
    ({"factory": functools.cache(student)}, "the same one again"),
    ({"weights": ()}, "`weights` must hold one number or more"),
    ({"weights": (1.0, 1.0)}, "each once"),
    ({"weights": (0.0,)}, "`weights` must be a finite number above 0"),
    ({"weights": 1.0}, "`weights` must be a list"),
    ({"reference_weights": (-1.0,)}, "`reference_weights` must be a finite number of at least 0"),
    ({"max_stages": 0}, "`max_stages` must be a whole number of at least 1"),
    ({"max_stages": 7}, "`max_stages` must be at most epochs=6"),
    ({"max_joint": 0}, "`max_joint` must be a whole number of at least 1"),
    ({"epochs": 61}, "`epochs` must be at most budget=60"),
    ({"budget": 23}, "`budget` must be at least 4 times epochs=6"),
    ({"budget": 36.5}, "`budget` must be a whole number"),
    ({"factor": 1}, "`factor` must be a whole number of at least 2"),
    ({"min_epochs": 0}, "`min_epochs` must be a whole number of at least 1"),
    ({"min_epochs": 7}, "`min_epochs` must be at most epochs=6"),
    ({"objective": "loss"}, "`objective` must be a log of the validation data"),
    ({"objective": "val_unheard_of"}, "val_unheard_of"),
    ({"seed": -1}, "`seed` must be"),
    ({"directory": 1}, "`directory` must be the path"),
    ({"weighting": "none"}, "`weighting` must be one of"),
]


@pytest.mark.parametrize(("arguments", "message"), TABLE)
def test_bad_arguments(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        search_of(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 3}, "`epochs` is no argument"),
        ({"seed": 3}, "`seed` is no argument"),
        ({"validation_freq": 2}, "`validation_freq` is no argument"),
        ({"backup_dir": "runs"}, "`backup_dir` is no argument"),
        ({"resume": "force"}, "`resume` must be True or False"),
        ({"validation_data": None}, "`validation_data` or `validation_split` must be given"),
        ({"cache": 3}, "`cache` must be"),
        ({"y": Y + CLASSES}, "`y` must hold class ids"),
        ({"x": X[:, :3]}, "`x` must have the shape"),
    ],
)
def test_bad_arguments_of_fit(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        search_of().fit(**{**DATA, **arguments})


def test_what_must_come_before():
    search = search_of(compiled=False)
    with pytest.raises(ValueError, match="call `compile"):
        search.fit(**DATA)
    with pytest.raises(ValueError, match="needs a trial that succeeded"):
        search.best_sequence()
    with pytest.raises(TypeError, match="Received: the class SGD"):
        search.compile(keras.optimizers.SGD, label_loss())
    search.compile("sgd", label_loss())
    with pytest.raises(ValueError, match=r"`objective` must be a log of the training, one of \['val_loss'\]"):
        search.fit(**DATA)


def test_one_search_at_a_time(stub, tmp_path):
    def value(key, epochs):
        search_of(directory=tmp_path).fit(**DATA)

    stub.value = value
    with pytest.raises(RuntimeError, match="Another search is writing"):
        search_of(directory=tmp_path).fit(**DATA)


def test_without_kerastuner(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("keras_smskd.search")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    with pytest.raises(ImportError, match="pip install keras-tuner"):
        importlib.import_module("keras_smskd.search")
