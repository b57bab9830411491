"""What every method must do: a test class for each method inherits it."""

import warnings

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies
from keras import ops

from tests import expected
from tests.autodiff import evaluate, value_and_gradients
from tests.models import (
    CLASSES,
    UNTRACED,
    Counter,
    assert_same_weights,
    convolutional,
    images,
    label_loss,
    logits,
    weights_of,
)

UNCOMPILED = int(keras.backend.backend() == "torch")
"""The calls of a model from Python in a step that was taken before."""


class DistillerContract:
    """Inherited by the tests of every method.

    A subclass defines `make(teacher, student, **arguments)`, the distiller; `loss(teacher, student, y)`, the pure loss
    with the same hyperparameters; `expected(teacher, student, y)`, the same in NumPy; `shapes`, feature shapes of
    teacher and student without the batch, of which an axis of one size stands for "the same in both"; `layer`, the
    layer of `tests.models.convolutional` that is read; `scales`, how large the features get; `learning_rate`, with
    which a few steps lower the loss; `descends`, whether they do so with any models.
    """

    layer = "logits"
    scales = (0.1, 1, 30)
    learning_rate = 0.01
    descends = True

    def make(self, teacher, student, **arguments):
        raise NotImplementedError

    def features(self, seed=0, batch_size=5):
        generator = np.random.default_rng(seed)
        teacher, student = (generator.normal(size=(batch_size, *shape)).astype("float32") for shape in self.shapes)
        return teacher, student, generator.integers(0, CLASSES, batch_size)

    def mean_loss(self, teacher, student, y):
        return ops.mean(self.loss(teacher, student, y))

    def gradient(self, teacher, student, y):
        def of_student(student):
            return self.mean_loss(ops.convert_to_tensor(teacher), student, ops.convert_to_tensor(y))

        return value_and_gradients(of_student, {"student": student})[1]["student"]

    def test_values_are_those_of_the_paper(self):
        teacher, student, y = self.features()
        received = evaluate(self.loss, teacher, student, y)
        assert received.shape in ((5,), ())
        np.testing.assert_allclose(received, self.expected(teacher.astype(float), student.astype(float), y), rtol=2e-4)

    def test_gradients_are_those_of_the_paper(self):
        teacher, student, y = self.features(batch_size=3)
        received = self.gradient(teacher, student, y).ravel()
        exact, step = student.astype(float), 1e-6
        for index in np.random.default_rng(1).choice(student.size, 8, replace=False):
            values = []
            for sign in (1, -1):
                moved = exact.copy()
                moved.flat[index] += sign * step
                values.append(self.expected(teacher.astype(float), moved, y).mean())
            np.testing.assert_allclose(received[index], (values[0] - values[1]) / (2 * step), rtol=2e-3, atol=1e-6)

    def test_nothing_to_learn_from_an_equal(self):
        _, student, y = self.features()
        loss = evaluate(self.loss, student, student, y)
        np.testing.assert_allclose(loss, 0.0, atol=1e-5)
        np.testing.assert_allclose(self.gradient(student, student, y), 0.0, atol=1e-5)

    def test_order_of_the_batch_does_not_matter(self):
        teacher, student, y = self.features()
        order = np.array([3, 0, 4, 1, 2])
        straight = evaluate(self.loss, teacher, student, y)
        shuffled = evaluate(self.loss, *(array[order] for array in (teacher, student, y)))
        straight, shuffled = (np.broadcast_to(loss, (5,)) for loss in (straight, shuffled))
        np.testing.assert_allclose(straight[order], shuffled, rtol=1e-4, atol=1e-6)

    def draw_shapes(self, draw):
        """Shapes of teacher and student in place of `shapes`: the rank kept, and which sizes are the same in both."""
        shapes = []
        for axis, (of_teacher, of_student) in enumerate(zip(*self.shapes, strict=True)):
            sizes = strategies.integers(2, 12) if axis == len(self.shapes[0]) - 1 else strategies.integers(1, 7)
            size = draw(sizes)
            shapes.append((size, size if of_teacher == of_student else draw(sizes)))
        return tuple(zip(*shapes, strict=True))

    @settings(
        max_examples=2 if keras.backend.backend() == "jax" else 12,  # JAX compiles every shape anew.
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
    )
    @given(data=strategies.data())
    def test_values_for_any_shape_and_precision(self, data):
        draw = data.draw
        shapes, batch_size = self.draw_shapes(draw), draw(strategies.integers(1, 6))
        dtype, scale = (
            draw(strategies.sampled_from(["float32", "float16"])),
            draw(strategies.sampled_from(self.scales)),
        )
        generator = np.random.default_rng(draw(strategies.integers(0, 99)))
        teacher, student = ((scale * generator.normal(size=(batch_size, *shape))).astype(dtype) for shape in shapes)
        teacher, student = (features.astype("float32") for features in (teacher, student))
        y = generator.integers(0, min(CLASSES, shapes[0][-1]), batch_size)
        received = evaluate(self.loss, teacher, student, y)
        assert np.isfinite(received).all()
        assert np.isfinite(self.gradient(teacher, student, y)).all()
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = self.expected(teacher.astype(float), student.astype(float), y)
        if np.isfinite(expected).all():
            np.testing.assert_allclose(received, expected, rtol=2e-3, atol=1e-4 * np.abs(expected).max() + 1e-5)

    @pytest.mark.parametrize("case", ["zero", "constant", "duplicates", "equal", "single", "huge", "one zero sample"])
    def test_finite_where_references_break(self, case):
        teacher, student, y = self.features()
        if case == "zero":
            student = np.zeros_like(student)
        elif case == "constant":
            student = np.ones_like(student)
        elif case == "duplicates":
            student[1:] = student[0]
        elif case == "equal" and teacher.shape == student.shape:
            student = teacher.copy()
        elif case == "single":
            teacher, student, y = teacher[:1], student[:1], y[:1]
        elif case == "huge":
            teacher, student = 1e3 * teacher, 1e3 * student
        elif case == "one zero sample":
            student[0] = 0
            teacher[1] = 0
        loss = evaluate(self.loss, teacher, student, y)
        gradient = self.gradient(teacher, student, y)
        assert np.abs(loss).max() < 1e7
        assert np.abs(gradient).max() < 1e5

    def distiller(self, teacher=None, student=None, learning_rate=0.0, compiled=True, **arguments):
        """A distiller of two convolutional models, whose step is compiled or, where that takes long, is not."""
        keras.utils.set_random_seed(0)
        distiller = self.make(
            teacher or convolutional(4, "teacher"), student or convolutional(3, "student"), **arguments
        )
        untraced = {} if compiled else UNTRACED
        distiller.compile(keras.optimizers.SGD(learning_rate), label_loss(), metrics=["accuracy"], **untraced)
        return distiller

    def expected_terms(self, distiller, x, y):
        """Label and distillation loss of every sample, from sub-models that know nothing of distillers."""
        outputs = []
        for model, training in ((distiller.teacher, False), (distiller.student, True)):
            output = model.output if self.layer == "logits" else model.get_layer(self.layer).output
            both = keras.Model(model.input, [output, model.output])(x, training=training)
            outputs.append([ops.convert_to_numpy(tensor) for tensor in both])
        (teacher, _), (student, logits) = outputs
        student = self.projected(distiller, student)
        return expected.cross_entropy(logits, y), self.expected(teacher, student, y)

    def projected(self, distiller, feature):
        return feature

    def test_a_compiled_step(self):
        """One forward a model, the expected terms, changes without a retrace, a loss that falls."""
        x, y = images(8)
        weights = np.random.default_rng(2).uniform(0, 2, 8).astype("float32")
        keras.utils.set_random_seed(0)
        models, counts = counted_pair()
        teacher = as_it_is(models[0])
        distiller = self.distiller(*models, label_weight=0.7, distillation_weight=3.0)

        def train(epochs=1):
            fit = {"batch_size": 8, "sample_weight": weights, "shuffle": False, "verbose": 0}
            logs = distiller.fit(x, y, epochs=epochs, callbacks=[counts], **fit).history
            return {name: np.array(values) for name, values in logs.items()}

        distillation = self.check_first_step(distiller, train, x, y, weights)
        assert counts.calls == [1, 1]  # Where the step is traced, one call in the trace is one in every step.
        distiller.label_weight, distiller.distillation_weight = 0.0, 2.0
        logs = train()
        np.testing.assert_allclose(logs["loss"], 2.0 * logs["distillation_loss"], rtol=1e-4)
        np.testing.assert_allclose(logs["loss"], 2.0 * (distillation or logs["distillation_loss"]), rtol=1e-3)
        assert counts.calls == [UNCOMPILED, UNCOMPILED]
        distiller.distillation_weight, distiller.optimizer.learning_rate = 1.0, self.learning_rate
        losses = train(epochs=6)["distillation_loss"]
        assert losses[-1] < losses[0] if self.descends else losses[-1] != losses[0]
        assert counts.calls == [6 * UNCOMPILED, 6 * UNCOMPILED]
        assert_as_it_was(distiller.teacher, *teacher)

    def check_first_step(self, distiller, train, x, y, weights):
        """Trains a step with sample weights; returns the distillation loss, if a step like it has it again."""
        label, distillation = (np.mean(weights * term) for term in self.expected_terms(distiller, x, y))
        logs = train()
        np.testing.assert_allclose(logs["label_loss"], label, rtol=1e-4)
        np.testing.assert_allclose(logs["distillation_loss"], distillation, rtol=1e-3)
        np.testing.assert_allclose(logs["loss"], 0.7 * label + 3.0 * distillation, rtol=1e-3)
        return distillation

    def test_evaluation_leaves_the_teacher_alone(self):
        x, y = images(8)
        teacher, counter = counted(convolutional(4))
        distiller = self.distiller(teacher, compiled=False)
        counter.calls.clear()
        distiller.evaluate(x, y, verbose=0)
        distiller.predict(x, verbose=0)
        assert not counter.calls

    def test_config_round_trip(self):
        distiller = self.distiller(label_weight=0.25, distillation_weight=7.0)
        config = distiller.get_config()
        copy = type(distiller).from_config(config)
        same = {key: value for key, value in copy.get_config().items() if key not in ("teacher", "student")}
        assert same == {key: value for key, value in config.items() if key not in ("teacher", "student")}
        assert float(ops.convert_to_numpy(copy.distillation_weight)) == 7.0

    def test_what_is_saved_is_the_student(self, tmp_path):
        x, _ = images(8)
        distiller = self.distiller()
        for variable in distiller.student.weights:
            variable.assign(variable + 0.1)
        distiller.save(tmp_path / "student.keras")
        loaded = keras.saving.load_model(tmp_path / "student.keras")
        np.testing.assert_allclose(logits(loaded, x), logits(distiller, x), rtol=1e-5, atol=1e-6)
        assert loaded.count_params() == distiller.student.count_params()

    @pytest.mark.compiles
    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
    def test_low_precision_student(self, policy):
        x, y = images(16)
        keras.config.set_dtype_policy(policy)
        try:
            student = convolutional(3)
        finally:
            keras.config.set_dtype_policy("float32")
        distiller = self.distiller(student=student, learning_rate=1e-4, compiled=False)
        logs = distiller.fit(x, y, batch_size=8, epochs=2, verbose=0).history
        assert np.isfinite(logs["loss"]).all()
        assert 0 < logs["distillation_loss"][0] < 1e4


def counted(model):
    """A model of the same layers with a counter of its calls in front."""
    counter = Counter()
    x = inputs = keras.Input(model.input_shape[1:])
    x = counter(x)
    for layer in (layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)):
        x = type(layer).from_config(layer.get_config())(x)
    return keras.Model(inputs, x, name=model.name), counter


class Counts(keras.callbacks.Callback):
    """How often models were called since training began, from Python: in every step, or in a trace of it."""

    def __init__(self, *counters):
        super().__init__()
        self.counters = counters

    @property
    def calls(self):
        return [len(counter.calls) for counter in self.counters]

    def on_train_begin(self, logs=None):
        for counter in self.counters:
            counter.calls.clear()


def as_it_is(model):
    """What training must leave to a teacher: its weights, and what of it is trainable."""
    return weights_of(model), [layer.trainable for layer in model.layers]


def assert_as_it_was(model, weights, flags):
    assert_same_weights(model, weights)
    assert [layer.trainable for layer in model.layers] == flags
    assert all(variable.trainable for variable in model.trainable_variables)
    assert model.trainable_variables


def counted_pair():
    """Teacher and student, and the `Counts` of their calls."""
    teacher, student = counted(convolutional(4, "teacher")), counted(convolutional(3, "student"))
    return (teacher[0], student[0]), Counts(teacher[1], student[1])
