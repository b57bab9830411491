"""The search for a plan: budget, halving, equal conditions, what survives, what is refused."""

import collections
import functools
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
from keras_smskd.search.plans import Space
from keras_smskd.search.rungs import Rung, divided, rungs_of
from tests.models import CLASSES, Counter, dense, label_loss, vectors

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
    arguments = {"max_stages": 2, "reference_weights": (0.0, 2.0), "epochs": 6, "budget": 36, **kwargs}
    keras.utils.set_random_seed(0)
    search = PlanSearch(teacher or dense(16), factory, methods, **arguments)
    if compiled:
        search.compile("sgd", label_loss(), metrics=["accuracy"])
    return search


class Stub:
    """In place of training: notes what is trained, and gives every plan a value of its own."""

    def __init__(self, monkeypatch, value=None):
        self.value = value or self.of_plan
        self.trained = []
        self.students = []
        stub = self
        monkeypatch.setattr(smskd.SequentialDistiller, "fit", lambda sequence, **kwargs: stub.fit(sequence, kwargs))

    @staticmethod
    def key(sequence):
        weights = [round(float(stage.distiller.distillation_weight.numpy()), 4) for stage in sequence.stages]
        names = [stage.name for stage in sequence.stages]
        reference = sequence.reference_weight if len(names) > 1 else 0.0
        return (*names, *weights, reference), tuple(stage.epochs for stage in sequence.stages)

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


def test_the_budget_of_the_docs():
    assert rungs_of(30, 300, 3, min_epochs=3, plans=1000) == [Rung(33, 3), Rung(11, 10), Rung(3, 30)]
    assert rungs_of(30, 300, 3, min_epochs=3, plans=8) == [Rung(8, 30)]
    assert rungs_of(30, 30, 3, min_epochs=1, plans=8) == [Rung(1, 30)]


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


def test_the_plans_are_all_there_are():
    weights, references = (0.1, 1.0), (0.0, 1.0, 3.0)
    expected = set()
    for stages in (1, 2, 3):
        orders = [order for order in itertools.product("abc", repeat=stages) if "aa" not in "".join(order)]
        orders = [order for order in orders if all(a != b for a, b in itertools.pairwise(order))]
        of_stages = itertools.product(orders, itertools.product(weights, repeat=stages), references)
        expected |= {(order, chosen, reference if stages > 1 else 0.0) for order, chosen, reference in of_stages}
    space = Space("abc", 3, weights, references)
    drawn = [(plan.methods, plan.weights, plan.reference_weight) for plan in space.draw(10_000, seed=0)]
    assert len(drawn) == space.size == len(expected) == 6 + 6 * 4 * 3 + 12 * 8 * 3
    assert set(drawn) == expected


def test_plans_are_drawn_by_their_stages_and_a_seed():
    space = Space("abcdefgh", 3, (0.1, 1.0), (0.0, 1.0))
    drawn = space.draw(12, seed=0)
    assert collections.Counter(len(plan.methods) for plan in drawn) == {1: 4, 2: 4, 3: 4}
    assert len(set(drawn)) == 12
    assert drawn == space.draw(12, seed=0) != space.draw(12, seed=1)
    assert Space("a", 3, (1.0,), (0.0,)).size == 1
    assert space.draw(3, seed=0)[1].text == " > ".join(space.draw(3, seed=0)[1].methods)


def test_the_halving_keeps_the_best(stub):
    search = search_of()
    results = search.fit(**DATA)
    assert search.rungs == [Rung(9, 2), Rung(3, 6)]
    by_epochs = collections.defaultdict(dict)
    for key, epochs in stub.trained:
        assert key not in by_epochs[sum(epochs)]
        by_epochs[sum(epochs)][key] = stub.of_plan(key, epochs)
    assert [len(by_epochs[rung.epochs]) for rung in search.rungs] == [rung.plans for rung in search.rungs]
    first, last = (by_epochs[rung.epochs] for rung in search.rungs)
    assert set(last) == set(sorted(first, key=first.get)[-search.rungs[1].plans :])
    spent = sum(result["epochs"] for result in results)
    assert spent == sum(sum(epochs) for _, epochs in stub.trained) <= 36
    values = [result["val_accuracy"] for result in results]
    expected = [*sorted(last.values(), reverse=True), *sorted(first.values(), reverse=True)]
    np.testing.assert_allclose(values, expected)


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
    assert best["plan"] == " > ".join(stage.name for stage in sequence.stages)
    default = {name: float(make(dense(16), dense(5)).distillation_weight.numpy()) for name, make in METHODS.items()}
    for stage, weight in zip(sequence.stages, best["weights"]):
        assert float(stage.distiller.distillation_weight.numpy()) == pytest.approx(weight * default[stage.name])
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


def test_a_search_goes_on(tmp_path, stub):
    calls = []

    def interrupted(key, epochs):
        calls.append(key)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return stub.of_plan(key, epochs)

    expected = search_of(budget=12).fit(**DATA)
    whole, stub.trained = stub.trained, []
    stub.value = interrupted
    with pytest.raises(KeyboardInterrupt):
        search_of(budget=12, directory=tmp_path).fit(**DATA)
    assert stub.trained == whole[:3]
    results = search_of(budget=12, directory=tmp_path).fit(**DATA)
    assert stub.trained == [*whole[:3], *whole[2:]]
    assert results == expected
    count = len(stub.trained)
    again = search_of(budget=12, directory=tmp_path)
    assert again.fit(**DATA) == expected
    assert len(stub.trained) == count
    assert again.best_sequence().stages[-1].name == expected[0]["plan"].split(" > ")[-1]
    for changed in ({"seed": 1}, {"teacher": dense(12)}, {"factory": lambda: dense(4)}, {"weights": (0.5,)}):
        with pytest.raises(ValueError, match=r"`directory` .* holds another search: .*resume=False"):
            search_of(budget=12, directory=tmp_path, **changed).fit(**DATA)
    search_of(budget=12, directory=tmp_path).fit(**DATA, resume=False)
    assert len(stub.trained) == count + len(whole)


def test_a_trial_that_fails_is_worst(stub, tmp_path):
    def value(key, epochs):
        if "FitNet" in key:
            raise FloatingPointError("the loss is not finite")
        return math.nan if "RKD" in key else stub.of_plan(key, epochs)

    stub.value = value
    results = search_of(directory=tmp_path).fit(**DATA)
    failed = [result for result in results if "FitNet" in result["plan"] or "RKD" in result["plan"]]
    assert failed
    assert [id(result) for result in results[-len(failed) :]] == [id(result) for result in failed]
    assert all(math.isnan(result["val_accuracy"]) and result["epochs"] == 2 for result in failed)
    reasons = {result["failure"] for result in failed}
    assert reasons == {"the loss is not finite", "`val_accuracy` is nan"}
    assert results[0]["plan"] == "KD"
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
    search = search_of(methods, max_stages=1, weights=(1.0,), epochs=1, budget=2)
    good, bad = search.fit(**DATA)
    assert (good["plan"], bad["plan"]) == ("KD", "bad")
    assert good["failure"] is None
    assert "not finite" in bad["failure"]


class Against(smskd.Distiller):
    """Teaches the student the opposite."""

    def distillation_loss(self, teacher, student, y):
        return keras.ops.mean((teacher["logits"] + student["logits"]) ** 2, axis=-1)


def test_the_best_plan_is_found():
    teacher = dense(16)
    x, _ = vectors(256)
    y = teacher.predict(x, verbose=0).argmax(axis=-1)
    methods = {"KD": smskd.KDDistiller, "against": lambda t, s: Against(t, s, label_weight=0.0)}
    search = search_of(
        methods, teacher=teacher, weights=(1.0,), reference_weights=(0.0,), epochs=4, budget=16, factor=2
    )
    search.compile(keras.optimizers.Adam(0.02), label_loss(), metrics=["accuracy"])
    results = search.fit(x[:192], y[:192], batch_size=16, validation_data=(x[192:], y[192:]), verbose=0)
    plans = {result["plan"] for result in results}
    assert plans == {"KD", "against", "KD > against", "against > KD"}
    assert results[0]["plan"] == "KD"
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
    search = search_of(methods, teacher=teacher, max_stages=1, weights=(1.0,), epochs=1, budget=2, compiled=False)
    search.compile("sgd", label_loss(), metrics=["accuracy"], run_eagerly=True)
    x, y = vectors(samples)
    results = search.fit(x, y, validation_data=(x, y), batch_size=16, cache=True, verbose=0)
    assert {"first", "second"} == {result["plan"] for result in results}
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
    assert any(len(key) > 3 for key, _ in stub.trained)


def test_it_says_what_it_does(stub, capsys):
    search = search_of()
    search.fit(**{**DATA, "verbose": 1})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Plans: ")
    assert lines[0].endswith(" epochs of a budget of 36.")
    best = search.results()[0]
    assert any(f"{best['plan']}, weights " in line and f"{best['val_accuracy']:.4f}" in line for line in lines)
    said = []
    search.summary(num_trials=2, print_fn=said.append)
    assert best["plan"] in said[1]
    assert f"{best['val_accuracy']:.4f}" in said[1]


def test_its_table_in_a_notebook(in_a_notebook):
    result = {"plan": "KD > SP", "weights": [1.0, 0.5], "reference_weight": 0.0, "epochs": 3, "failure": None}
    text = report.table([{**result, "val_loss": 0.25}], "val_loss")
    assert "KD > SP" in text
    assert "\x1b" not in text


TABLE = [
    ({"methods": []}, "`methods` must be a dict"),
    ({"methods": {"a > b": smskd.KDDistiller}}, "names without '>'"),
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
    ({"epochs": 40}, "`epochs` must be at most budget=36"),
    ({"budget": 36.5}, "`budget` must be a whole number"),
    ({"factor": 1}, "`factor` must be a whole number of at least 2"),
    ({"min_epochs": 1}, "`min_epochs` must be a whole number of at least 2"),
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
    with pytest.raises(ImportError, match=r"keras_smskd\[search\]"):
        importlib.import_module("keras_smskd.search")
