import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_smskd as smskd
from keras_smskd.projectors import projector
from tests.contract import counted
from tests.models import (
    CLASSES,
    UNTRACED,
    Counter,
    assert_same_weights,
    convolutional,
    dense,
    images,
    label_loss,
    subclassed,
    vectors,
    weights_of,
)


def three_stages(teacher=None, student=None, **arguments):
    teacher, student = teacher or convolutional(4, "teacher"), student or convolutional(3, "student")
    stages = [
        smskd.FitNetDistiller(teacher, student, layers={"stage2": "stage2"}),
        smskd.Stage(smskd.KDDistiller(teacher, student), epochs=2),
        smskd.Stage(smskd.RKDDistiller(teacher, student, layers={"pool": "pool"}), name="relations"),
    ]
    return smskd.SequentialDistiller(stages, **arguments)


def two_stages(teacher=None, student=None, epochs=1, **arguments):
    teacher, student = teacher or dense(8, "teacher"), student or dense(3, "student")
    stages = [smskd.Stage(smskd.KDDistiller(teacher, student), epochs=epochs) for _ in range(2)]
    return smskd.SequentialDistiller(stages, **arguments)


def compiled(distiller, optimizer="sgd", **arguments):
    distiller.compile(optimizer, label_loss(), metrics=["accuracy"], **arguments)
    return distiller


def test_three_stages_end_to_end(tmp_path, capsys):
    x, y = images(32)
    distiller = compiled(three_stages(), "adam")
    teacher = weights_of(distiller.stages[0].distiller.teacher)
    history = distiller.fit(x, y, batch_size=8, validation_data=(x, y))
    assert history.epoch == [0, 1, 2, 3]
    assert [(stage.name, stage.epoch) for stage in history.stages] == [
        ("FitNet", [0]),
        ("KD", [1, 2]),
        ("relations", [3]),
    ]
    assert set(history.history) == {
        "accuracy",
        "distillation_loss",
        "label_loss",
        "loss",
        "reference_agreement",
        "reference_loss",
        "val_accuracy",
        "val_loss",
    }
    assert all(len(values) == 4 for values in history.history.values())
    np.testing.assert_array_equal(np.isnan(history.history["reference_loss"]), [True, False, False, False])
    assert "reference_loss" not in history.stages[0].history
    assert_same_weights(distiller.stages[0].distiller.teacher, teacher)
    printed = capsys.readouterr().out
    for line in ("Stage 1/3 FitNet", "Stage 2/3 KD", "Stage 3/3 relations"):
        assert line in printed
    distiller.student.save(tmp_path / "student.keras")
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), distiller.student.predict(x, verbose=0), rtol=1e-5)
    assert len(loaded.weights) == len(distiller.student.weights)


def test_evaluate_and_predict_are_the_students():
    x, y = images(32)
    distiller = compiled(three_stages())
    distiller.fit(x, y, verbose=0)
    student = distiller.student
    student.compile(loss=label_loss(), metrics=["accuracy"])
    before = weights_of(student)
    for model in (distiller, distiller.stages[-1].distiller):
        assert model.evaluate(x, y, verbose=0) == student.evaluate(x, y, verbose=0)
        np.testing.assert_array_equal(model.predict(x, verbose=0), student.predict(x, verbose=0))
    assert_same_weights(student, before)


def test_the_reference_is_the_student_as_the_last_stage_left_it():
    x, y = vectors(32)
    distiller = compiled(two_stages(epochs=2))
    after_first = []
    in_second = []

    class Watch(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            after_first.append(weights_of(self.model.student))

        def on_epoch_end(self, epoch, logs=None):
            if self.model.reference is not None:
                in_second.append(weights_of(self.model.reference))

    distiller.fit(x, y, verbose=0, callbacks=[Watch()])
    assert len(in_second) == 2
    for weights in in_second:
        for expected, received in zip(after_first[0], weights, strict=True):
            np.testing.assert_array_equal(expected, received)
    assert any((a != b).any() for a, b in zip(after_first[1], in_second[1], strict=True))


def test_forwards_and_traces_of_a_stage_with_a_reference():
    x, y = vectors(32)
    teacher, of_teacher = counted(dense(8))
    student, of_student = counted(dense(3))
    distiller = compiled(two_stages(teacher, student))
    of_reference = next(layer for layer in distiller.reference.layers if isinstance(layer, Counter))
    distiller.fit(x, y, batch_size=16, epochs=1, verbose=0)
    second = distiller.stages[1].distiller
    second.train_on_batch(x, y)
    for counter in (of_teacher, of_student, of_reference):
        counter.calls.clear()
    second.train_on_batch(x[:8], y[:8])
    assert [len(counter.calls) for counter in (of_teacher, of_student, of_reference)] == [1, 1, 1]
    if keras.backend.backend() != "torch":
        second.fit(x, y, batch_size=16, verbose=0)
        of_student.calls.clear()
        second.reference_weight = 0.5
        second.fit(x, y, batch_size=16, epochs=3, verbose=0)
        assert not of_student.calls


@pytest.mark.compiles
def test_without_weight_there_is_no_reference():
    x, y = vectors(16)
    distiller = compiled(two_stages(reference_weight=0))
    assert distiller.reference is None
    assert "reference_loss" not in distiller.fit(x, y, verbose=0).history


@pytest.mark.compiles
def test_weight_zero_is_plain_training_in_sequence():
    x, y = vectors(32)
    plain, sequence = [], []
    for results, run in ((plain, _by_hand), (sequence, _in_sequence)):
        keras.utils.set_random_seed(0)
        teacher, student = dense(8), dense(3)
        run(teacher, student, x, y)
        results.extend(weights_of(student))
    for a, b in zip(plain, sequence, strict=True):
        np.testing.assert_array_equal(a, b)


def _by_hand(teacher, student, x, y):
    for _ in range(2):
        distiller = smskd.KDDistiller(teacher, student)
        distiller.compile(keras.optimizers.Adam(0.01), label_loss())
        distiller.fit(x, y, shuffle=False, epochs=2, verbose=0)


def _in_sequence(teacher, student, x, y):
    distiller = two_stages(teacher, student, epochs=2, reference_weight=0)
    distiller.compile(keras.optimizers.Adam(0.01), label_loss())
    distiller.fit(x, y, shuffle=False, verbose=0)


def test_the_reference_holds_the_student():
    x, y = vectors(32)
    moved = {}
    for weight in (0.0, 100.0):
        keras.utils.set_random_seed(0)
        distiller = compiled(two_stages(weighting="uniform", reference_weight=weight), keras.optimizers.SGD(0.01))
        distiller.stages[0].distiller.label_weight = 1.0
        before = []

        class Watch(keras.callbacks.Callback):
            def on_train_begin(self, logs=None, before=before):
                before.append(weights_of(self.model.student))

        distiller.fit(x, y, epochs=[1, 8], batch_size=32, verbose=0, callbacks=[Watch()])
        after = weights_of(distiller.student)
        moved[weight] = sum(np.abs(a - b).sum() for a, b in zip(before[1], after, strict=True))
    assert moved[100.0] < 0.7 * moved[0.0]


@pytest.mark.compiles
def test_epochs():
    x, y = vectors(16)
    distiller = compiled(two_stages(epochs=2))
    assert len(distiller.fit(x, y, verbose=0).epoch) == 4
    assert [len(stage.epoch) for stage in distiller.fit(x, y, epochs=[1, 3], verbose=0).stages] == [1, 3]
    assert [len(stage.epoch) for stage in distiller.fit(x, y, epochs=1, verbose=0).stages] == [1, 1]


@pytest.mark.compiles
@pytest.mark.parametrize("scaled", [False, True])
def test_what_is_not_to_decay_decays_in_no_stage(scaled):
    teacher, student = dense(8), dense(3, bias_initializer="ones")
    stages = [smskd.KDDistiller(teacher, student, label_weight=0.0, distillation_weight=0.0) for _ in range(2)]
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    distiller = smskd.SequentialDistiller(stages, reference_weight=0.0)
    distiller.compile(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer)
    kernel, bias, *_ = weights_of(student)
    distiller.fit(*vectors(16), verbose=0)
    np.testing.assert_allclose(weights_of(student)[0], 0.95**2 * kernel, rtol=1e-5)
    np.testing.assert_array_equal(weights_of(student)[1], bias)


def test_the_reference_waits_for_a_stage_that_trains_the_student():
    teacher, student = convolutional(4), convolutional(3)
    ft = smskd.FTDistiller(teacher, student, layers={"stage2": "stage2"})
    kd = smskd.KDDistiller(teacher, student)
    assert smskd.SequentialDistiller([ft.initial(), ft]).reference_weights == [0.0, 0.0]
    assert smskd.SequentialDistiller([kd, ft.initial(), ft]).reference_weights == [0.0, 0.0, 1.0]
    own = smskd.Stage(ft, reference_weight=3.0)
    assert smskd.SequentialDistiller([ft.initial(), kd, own]).reference_weights == [0.0, 0.0, 3.0]


@pytest.mark.parametrize("name", ["reference_weight", "reference_temperature", "weighting", "student_factory"])
def test_what_the_reference_is_made_of_stays(name):
    with pytest.raises(AttributeError, match=name):
        setattr(two_stages(), name, 2.0)


@pytest.mark.compiles
def test_every_stage_has_a_fresh_optimizer():
    x, y = vectors(16)
    teacher, student = dense(8), dense(3)
    stages = [
        smskd.Stage(smskd.KDDistiller(teacher, student)),
        smskd.Stage(smskd.KDDistiller(teacher, student), optimizer=keras.optimizers.SGD(0.5)),
    ]
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10))
    distiller = compiled(smskd.SequentialDistiller(stages), optimizer)
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: steps.append(int(count.model.optimizer.iterations.numpy()))
    )
    distiller.fit(x, y, verbose=0, callbacks=[count])
    first, second = (stage.distiller.optimizer for stage in distiller.stages)
    assert steps == [1, 1]
    assert not any(each.built for each in (optimizer, first, second))
    assert isinstance(first, keras.optimizers.Adam)
    assert isinstance(second, keras.optimizers.SGD)
    assert float(ops.convert_to_numpy(second.learning_rate)) == 0.5


@pytest.mark.compiles
def test_one_distiller_may_serve_two_stages():
    x, y = vectors(16)
    teacher, student = dense(8), dense(3)
    distiller = smskd.KDDistiller(teacher, student)
    history = compiled(smskd.SequentialDistiller([distiller, distiller, distiller])).fit(x, y, verbose=0)
    np.testing.assert_array_equal(np.isnan(history.history["reference_loss"]), [True, False, False])


@pytest.mark.parametrize("weighting", ["tcp", "uniform", lambda logits, y: ops.max(ops.softmax(logits), axis=-1)])
def test_weightings(weighting):
    x, y = vectors(16)
    distiller = compiled(two_stages(weighting=weighting))
    distiller.fit(x, y, verbose=0)
    counts = distiller.stages[1].distiller.sample_reference_weight.table()
    assert counts[:, 2].sum() == 16
    assert (counts[-1, 2] == 16) == (weighting == "uniform")


@pytest.mark.parametrize(
    "form", ["soft", *(pytest.param(form, marks=pytest.mark.compiles) for form in ("sparse", "column", "one-hot"))]
)
def test_forms_of_labels(form):
    x, y = images(16)
    one_hot = np.eye(CLASSES, dtype="float32")[y]
    labels = {"sparse": y, "column": y[:, None], "one-hot": one_hot, "soft": 0.9 * one_hot + 0.1 / CLASSES}[form]
    loss = label_loss() if form in ("sparse", "column") else keras.losses.CategoricalCrossentropy(from_logits=True)
    distiller = three_stages()
    distiller.compile("sgd", loss, metrics=["accuracy"], **UNTRACED)
    history = distiller.fit(x, labels, batch_size=8, validation_split=0.25, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert 0 <= history["val_accuracy"][-1] <= 1


@pytest.mark.compiles
def test_class_weights_reach_every_term():
    x, y = vectors(16)
    logs = {}
    for name, arguments in {
        "class": {"class_weight": {0: 2.0, 1: 0.5, 2: 1.0, 3: 3.0}},
        "sample": {"sample_weight": np.array([2.0, 0.5, 1.0, 3.0])[y]},
        "none": {},
    }.items():
        keras.utils.set_random_seed(0)
        history = compiled(two_stages(), keras.optimizers.SGD(0.0)).fit(x, y, verbose=0, **arguments).history
        logs[name] = [history[term][1] for term in ("label_loss", "distillation_loss")]
    np.testing.assert_allclose(logs["class"], logs["sample"], rtol=1e-5)
    assert not np.allclose(logs["class"], logs["none"], rtol=1e-2)


def test_subclassed_models_go_through_a_sequence():
    x, y = vectors(16)
    teacher, student = subclassed(8, name="teacher"), subclassed(3, name="student")
    stages = [
        smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}),
        smskd.KDDistiller(teacher, student),
    ]
    assert len(compiled(smskd.SequentialDistiller(stages)).fit(x, y, verbose=0).epoch) == 2


def test_summary_prints_the_plan():
    lines = []
    three_stages(reference_weight=2.0).summary(print_fn=lines.append)
    text = "\n".join(lines)
    for part in ("1 FitNet", "2 KD", "3 relations", "stage2: stage2", "pool: pool", "reference 2", "distillation 100"):
        assert part in text


def test_summary_prints_the_plan_in_a_notebook(in_a_notebook):
    lines = []
    three_stages().summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "1 FitNet" in text
    assert "\x1b" not in text


def test_a_distiller_summarises_as_a_keras_model():
    lines = []
    three_stages().stages[0].distiller.summary(print_fn=lines.append)
    assert "Trainable params" in "\n".join(lines)


@pytest.mark.compiles
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_everything_in_another_precision(precision):
    x, y = images(16)
    floatx = keras.config.floatx()
    if precision == "float64":
        keras.config.set_floatx("float64")
    keras.config.set_dtype_policy(precision)
    try:
        history = compiled(three_stages()).fit(x, y, batch_size=8, epochs=1, verbose=0).history
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(floatx)
    for term in ("label_loss", "distillation_loss"):
        assert np.isfinite(history[term]).all()
        assert min(history[term]) > 0


def two_inputs(width):
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((3,), name="b")}
    hidden = keras.layers.Dense(width, name="hidden")(keras.layers.Concatenate()(list(inputs.values())))
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(keras.layers.Dropout(0.2)(hidden)))


@pytest.mark.parametrize(
    "how",
    [
        {},
        pytest.param({"run_eagerly": True}, marks=pytest.mark.compiles),
        pytest.param({"steps_per_execution": 2}, marks=pytest.mark.compiles),
    ],
    ids=str,
)
def test_models_of_several_inputs(how):
    if keras.backend.backend() == "torch":
        how.pop("steps_per_execution", None)  # Keras refuses it there.
    x = {"a": np.ones((16, 4), "float32"), "b": np.ones((16, 3), "float32")}
    distiller = compiled(two_stages(two_inputs(8), two_inputs(3)), **how)
    history = distiller.fit(x, vectors(16)[1], batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    distiller.stages[0].distiller.train_on_batch(x, vectors(16)[1])


def test_stages_begun_in_a_loop_train_as_fit_does():
    x, y = images(16)
    trained = []
    for by_hand in (False, True):
        keras.utils.set_random_seed(0)
        sequence = compiled(three_stages(), keras.optimizers.SGD(0.01, momentum=0.9), **UNTRACED)
        if by_hand:
            for index in range(3):
                distiller = sequence.begin_stage(index)
                logs = [distiller.train_on_batch(x[i : i + 8], y[i : i + 8], return_dict=True) for i in (0, 8)]
        else:
            sequence.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
        trained.append(weights_of(sequence.student))
    for expected, received in zip(*trained, strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-7)
    assert logs[-1]["reference_loss"] > 0


@pytest.mark.compiles
def test_an_interrupted_run_leaves_models_that_train_on():
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    x, y = vectors(16)
    distiller = compiled(two_stages())
    teacher = weights_of(distiller.stages[0].distiller.teacher)
    with pytest.raises(KeyboardInterrupt):
        distiller.fit(x, y, batch_size=4, verbose=0, callbacks=[Interrupt()])
    assert len(distiller.fit(x, y, batch_size=4, verbose=0).epoch) == 2
    assert_same_weights(distiller.stages[0].distiller.teacher, teacher)
    assert all(variable.trainable for variable in distiller.stages[0].distiller.teacher.trainable_variables)


@pytest.mark.compiles
def test_metrics_given_as_objects_are_reported_once():
    x, y = vectors(16)
    distiller = two_stages()
    distiller.compile("sgd", label_loss(), metrics=[keras.metrics.SparseCategoricalAccuracy(name="right")])
    distiller.fit(x, y, verbose=0)
    assert sorted(distiller.evaluate(x, y, verbose=0, return_dict=True)) == ["loss", "right"]
    assert len(distiller.evaluate(x, y, verbose=0)) == 2


def test_the_plan_of_models_and_projectors_that_cannot_be_serialised():
    teacher, student = subclassed(8), subclassed(3)
    for model in (teacher, student):
        object.__setattr__(model, "get_config", lambda: 1 / 0)
    make = functools.partial(projector, activation=None)
    stage = smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}, projector=make)
    lines = []
    smskd.SequentialDistiller([stage]).summary(print_fn=lines.append)
    assert "hidden: hidden" in lines[0]
