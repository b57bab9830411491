import csv
import math
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_smskd as smskd
from keras_smskd.base.term_gradients import TermGradients
from keras_smskd.callbacks import GradientConflict
from keras_smskd.callbacks.gradient_conflict import cosine
from tests.autodiff import value_and_gradients
from tests.contract import counted
from tests.models import CLASSES, convolutional, dense, images, label_loss, vectors

FIGHT = "The gradients of two terms fight"


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def linear():
    return keras.Sequential([keras.Input((6,)), layers.Dense(CLASSES)])


def logits_of(weights, x):
    return x @ weights[0].astype("float64") + weights[1]


def of_student(x, of_logits):
    """The gradient of a linear student, from that of its logits for every sample."""
    return np.concatenate([(x.T @ of_logits).ravel(), of_logits.sum(axis=0)]) / len(x)


def check_logs(logs, epoch, gradients):
    """Compares what was logged in an epoch with independent gradients."""
    for name, gradient in gradients.items():
        np.testing.assert_allclose(logs[f"gradient_norm_{name}"][epoch], np.linalg.norm(gradient), rtol=1e-4)
    names = list(gradients)
    for a, b in [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]:
        expected = gradients[a] @ gradients[b] / np.linalg.norm(gradients[a]) / np.linalg.norm(gradients[b])
        np.testing.assert_allclose(logs[f"cosine_{a}_{b}"][epoch], expected, atol=1e-4)


def test_closed_forms_of_all_three_terms():
    x, y = vectors(32)
    teacher, student = dense(8), linear()
    stages = [
        smskd.Stage(smskd.KDDistiller(teacher, student, temperature=3.0), epochs=2),
        smskd.Stage(smskd.KDDistiller(teacher, student, temperature=3.0, warmup_epochs=4), epochs=2),
    ]
    sequence = smskd.SequentialDistiller(stages, reference_weight=0.7, reference_temperature=2.0)
    sequence.compile(keras.optimizers.SGD(1.0), label_loss())
    x_batch, y_batch = x[:20], y[:20]
    callback = GradientConflict(x_batch.astype("float64"), y_batch, threshold=-1.0)
    logs = sequence.fit(x, y, callbacks=[callback], verbose=0).history
    assert all(math.isnan(value) for value in logs["cosine_distillation_reference"][:2])
    assert not any(math.isnan(value) for value in logs["cosine_label_distillation"])
    of_teacher = teacher.predict(x_batch, verbose=0).astype("float64")
    now, before = (logits_of(model.get_weights(), x_batch) for model in (student, sequence.reference))
    true = np.eye(CLASSES)[y_batch]
    weights = 1 - (softmax(of_teacher) * true).sum(axis=-1, keepdims=True)
    expected = {
        "label": 0.1 * of_student(x_batch, softmax(now) - true),
        "distillation": 0.9 * 0.5 * of_student(x_batch, 3.0 * (softmax(now / 3.0) - softmax(of_teacher / 3.0))),
        "reference": 0.7 * of_student(x_batch, weights * 2.0 * (softmax(now / 2.0) - softmax(before / 2.0))),
    }
    check_logs(logs, 3, expected)


class WithUnused(layers.Dense):
    """A layer with a weight that has no gradient."""

    def build(self, shape):
        super().build(shape)
        self.unused = self.add_weight(shape=(3,), name="unused")


def of_images():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3, activation="tanh", name="stage2", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5, seed=1),
            WithUnused(CLASSES),
        ]
    )


def of_tokens():
    return keras.Sequential(
        [keras.Input((5,), dtype="int32"), layers.Embedding(7, 3), layers.Flatten(), layers.Dense(CLASSES)]
    )


@pytest.mark.parametrize("make", [of_images, of_tokens])
def test_gradients_of_the_student_as_it_trains(make):
    """In training mode, with batch statistics and the random numbers that the next step will draw."""
    teacher, student = make(), make()
    x, y = images(16) if make is of_images else (np.random.default_rng(0).integers(0, 7, (16, 5)), vectors(16)[1])
    distiller = smskd.KDDistiller(teacher, student)
    distiller.compile(keras.optimizers.SGD(0.0), label_loss())
    distiller.fit(x, y, batch_size=16, verbose=0)
    known = ops.convert_to_tensor(teacher.predict(x, verbose=0))
    state = [ops.copy(variable.value) for variable in student.non_trainable_variables]
    names = [f"weight_{index}" for index in range(len(student.trainable_variables))]

    def loss(term, arrays):
        logits, _ = student.stateless_call([arrays[name] for name in names], state, x, training=True)
        if term == "label":
            return 0.1 * label_loss()(y, logits)
        return 0.9 * ops.mean(smskd.distillers.kd.kd_loss(known, logits, 4.0))

    weights = dict(zip(names, map(ops.convert_to_numpy, student.trainable_variables)))
    received = TermGradients(distiller).of(x, y)
    for term in ("label", "distillation"):
        _, expected = value_and_gradients(lambda term=term, **arrays: loss(term, arrays), weights)
        expected = np.concatenate([expected[name].ravel() for name in names])
        np.testing.assert_allclose(received[f"{term}_loss"], expected, rtol=1e-3, atol=1e-5 * abs(expected).max())


class TowardsDistiller(smskd.Distiller):
    def distillation_loss(self, teacher, student, y):
        return ops.mean((teacher["logits"] - student["logits"]) ** 2, axis=-1)


class AwayDistiller(TowardsDistiller):
    def distillation_loss(self, teacher, student, y):
        return -super().distillation_loss(teacher, student, y)


def joint(*methods, teachers=1, **arguments):
    teachers, student = [dense(8) for _ in range(teachers)], dense(3)
    return smskd.JointDistiller([method(teachers=teachers, student=student) for method in methods], **arguments)


def fit(distiller, callback, epochs=3):
    x, y = vectors(32)
    distiller.compile(keras.optimizers.SGD(0.1), label_loss())
    return distiller.fit(x, y, epochs=epochs, callbacks=[callback], verbose=0).history


@pytest.mark.compiles
@pytest.mark.parametrize("teachers", [1, 2])
def test_opposite_methods_are_warned_of_once(teachers):
    callback = GradientConflict(*vectors(16))
    distiller = joint(TowardsDistiller, AwayDistiller, teachers=teachers, weights=[1.0, 2.0])
    stages = [smskd.Stage(distiller, epochs=3, name="both")]
    with pytest.warns(
        UserWarning, match="fight in stage 1 'both': `cosine_Towards_Away` is -1.00, .* 3 epochs"
    ) as caught:
        logs = fit(smskd.SequentialDistiller(stages), callback, epochs=None)
    assert sum("cosine_Towards_Away" in str(warning.message) for warning in caught) == 1
    np.testing.assert_allclose(logs["cosine_Towards_Away"], [-1.0] * 3, rtol=1e-5)
    np.testing.assert_allclose(logs["gradient_norm_Away"], np.multiply(2.0, logs["gradient_norm_Towards"]), rtol=1e-4)
    np.testing.assert_allclose(logs["gradient_norm_distillation"], logs["gradient_norm_Towards"], rtol=1e-4)


@pytest.mark.compiles
def test_equal_methods_agree_without_a_warning():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", FIGHT)
        logs = fit(joint(TowardsDistiller, TowardsDistiller), GradientConflict(*vectors(16), threshold=-1.0))
    np.testing.assert_allclose(logs["cosine_Towards_Towards_2"], [1.0] * 3, rtol=1e-5)


@pytest.mark.compiles
def test_a_distiller_alone_is_warned_of_by_its_method():
    with pytest.warns(UserWarning, match="fight in the training by Towards: `cosine_label_distillation`"):
        fit(TowardsDistiller(dense(8), dense(3)), GradientConflict(*vectors(16), threshold=1.0), epochs=1)


@pytest.mark.compiles
def test_a_term_of_weight_0_has_no_gradient():
    logs = fit(TowardsDistiller(dense(8), dense(3), label_weight=0), GradientConflict(*vectors(16)))
    assert logs["cosine_label_distillation"] == logs["gradient_norm_label"] == [0.0] * 3


@pytest.mark.compiles
def test_without_labels():
    x, _ = vectors(32)
    distiller = smskd.KDDistiller(dense(8), dense(3), label_weight=0)
    distiller.compile("sgd")
    logs = distiller.fit(x, epochs=2, callbacks=[GradientConflict(x)], verbose=0).history
    assert set(logs) == {"loss", "distillation_loss", "gradient_norm_distillation"}


@pytest.mark.parametrize("vector", [[math.nan, 1.0], [math.inf, 1.0]])
def test_what_is_not_finite_is_not_hidden(vector):
    assert math.isnan(cosine(np.array(vector), np.array([1.0, 1.0])))


def student_with_state(seed, activity_regularizer):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3, kernel_constraint=keras.constraints.MaxNorm(0.3), name="stage2"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dropout(0.3, seed=seed),
            layers.Dense(CLASSES, activity_regularizer=activity_regularizer),
        ]
    )


def trained(callbacks, dtype, seed, **arguments):
    """Everything that training leaves behind: with a seed for the run one stage, else two and seeds in the student."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(dtype)
    try:
        teacher, student = convolutional(4), student_with_state(*((1, "l2") if seed is None else (None, None)))
    finally:
        keras.config.set_dtype_policy("float32")
    x, y = images(24)
    methods = [
        smskd.CRDDistiller(teacher, student, layers={"pool": "pool"}, samples=24, negatives=4, size=8),
        smskd.FitNetDistiller(teacher, student, layers={"stage2": "stage2"}, distillation_weight=1.0),
    ]
    stages = [smskd.KDDistiller(teacher, student), smskd.JointDistiller(methods)]
    sequence = smskd.SequentialDistiller(stages if seed is None else stages[1:])
    sequence.compile("adam", label_loss(), metrics=["accuracy"], **arguments)
    data = {"batch_size": 8, "validation_data": (x, y), "seed": seed}
    history = sequence.fit(x, y, **data, epochs=2, callbacks=callbacks, verbose=0)
    distillers = [stage.distiller for stage in sequence.stages]
    variables = [v for model in (teacher, *distillers) for v in model.variables]
    return [np.array(ops.convert_to_numpy(ops.cast(v, "float32"))) for v in variables], history.history


@pytest.mark.parametrize(
    ("dtype", "seed", "arguments"),
    [
        ("float32", None, {}),
        ("mixed_bfloat16", 0, {"on_nonfinite": "skip_batch"}),
    ],
)
@pytest.mark.filterwarnings(f"ignore:{FIGHT}")
@pytest.mark.compiles
def test_nothing_is_changed(dtype, seed, arguments):
    x, y = images(12, seed=1)
    callback = GradientConflict({"inputs": x, "index": np.arange(12)}, y)
    expected, logs = trained([], dtype, seed, **arguments)
    received, measured = trained([callback], dtype, seed, **arguments)
    np.testing.assert_equal({name: measured[name] for name in logs}, logs)
    for value, right in zip(received, expected, strict=True):
        np.testing.assert_array_equal(value, right)
    assert all(0 < abs(cosine) < 1 for cosine in measured["cosine_CRD_FitNet"][-2:])


@pytest.mark.compiles
def test_small_gradients_in_float16_are_not_lost():
    norms = []
    for dtype in ("float32", "mixed_float16"):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(dtype)
        try:
            distiller = smskd.KDDistiller(dense(8), dense(3), distillation_weight=1e-6)
        finally:
            keras.config.set_dtype_policy("float32")
        norms.append(fit(distiller, GradientConflict(*vectors(16)), epochs=1)["gradient_norm_distillation"])
    np.testing.assert_allclose(*norms, rtol=0.05)


def test_one_trace_a_stage():
    def calls(epochs):
        student, counter = counted(dense(3))
        fit(smskd.KDDistiller(dense(8), student), GradientConflict(*vectors(16), threshold=-1.0), epochs)
        return len(counter.calls)

    further = 3 * (1 + 2) if keras.backend.backend() == "torch" else 0  # One step and two terms an epoch, untraced.
    assert calls(4) == calls(1) + further


@pytest.mark.compiles
def test_a_stage_that_does_not_train_the_student_is_left_alone():
    teacher, student = convolutional(4), convolutional(3)
    x, y = images(16)
    distiller = smskd.FTDistiller(teacher, student, layers={"stage2": "stage2"})
    sequence = smskd.SequentialDistiller([distiller.initial(), distiller])
    sequence.compile("sgd", label_loss())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", FIGHT)
        first, second = sequence.fit(x, y, callbacks=[GradientConflict(x, y)], verbose=0).stages
    assert "cosine_label_distillation" not in first.history
    assert "cosine_label_distillation" in second.history


def two_stages():
    teacher, student = dense(8), dense(3)
    sequence = smskd.SequentialDistiller([TowardsDistiller(teacher, student), smskd.KDDistiller(teacher, student)])
    sequence.compile(keras.optimizers.SGD(0.1), label_loss())
    return sequence


@pytest.mark.compiles
def test_tables_have_the_columns_of_later_stages(tmp_path):
    callbacks = [GradientConflict(*vectors(16), threshold=-1.0), keras.callbacks.CSVLogger(tmp_path / "logs.csv")]
    logs = two_stages().fit(*vectors(32), callbacks=callbacks, verbose=0).history
    with open(tmp_path / "logs.csv") as file:
        first, second = csv.DictReader(file)
    assert first["cosine_label_reference"] == "NA"
    assert float(second["cosine_label_reference"]) == pytest.approx(logs["cosine_label_reference"][1])
    assert float(first["gradient_norm_label"]) == pytest.approx(logs["gradient_norm_label"][0])


class Interrupt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.compiles
def test_a_run_that_goes_on_remembers_the_epochs_of_its_stage(tmp_path):
    sequence = two_stages()
    for epoch in (4, None):
        callback = GradientConflict(*vectors(16), threshold=-1.0)
        try:
            sequence.fit(
                *vectors(32), epochs=3, callbacks=[callback, Interrupt(epoch)], backup_dir=tmp_path / "run", verbose=0
            )
        except KeyboardInterrupt:
            assert epoch == 4
    history = sequence.history.history["cosine_label_distillation"]
    assert callback.cosines["cosine_label_distillation"] == pytest.approx(history[3:])


def test_a_missing_index_is_told_of_before_the_first_stage():
    teacher, student = convolutional(4), convolutional(3)
    x, y = images(16)
    crd = smskd.CRDDistiller(teacher, student, layers={"pool": "pool"}, samples=16, negatives=4)
    sequence = smskd.SequentialDistiller([smskd.KDDistiller(teacher, student), crd])
    sequence.compile("sgd", label_loss())
    before = student.get_weights()
    with pytest.raises(ValueError, match='`x` of `GradientConflict` .* for CRD: .* "inputs", .* "index"'):
        sequence.fit(x, y, callbacks=[GradientConflict(x, y)], verbose=0)
    for weight, value in zip(student.get_weights(), before):
        np.testing.assert_array_equal(weight, value)
