import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.ctkd import CTKDDistiller, ctkd_loss, reverse_gradient
from tests import expected
from tests.autodiff import value_and_gradients
from tests.contract import DistillerContract
from tests.models import dense, vectors

RANGE = {"lowest_temperature": 1.0, "temperature_range": 4.0}
FIRST_TEMPERATURE = 1.0 + 4.0 / (1.0 + np.exp(-1.0))
X = 5.0 * vectors(16)[0]


class TestCTKD(DistillerContract):
    shapes = ((4,), (4,))

    def make(self, teacher, student, **arguments):
        return CTKDDistiller(teacher, student, **RANGE, **arguments)

    def loss(self, teacher, student, y):
        return ctkd_loss(teacher, student, ops.full((1,), FIRST_TEMPERATURE))

    def expected(self, teacher, student, y):
        return expected.ctkd(teacher, student, FIRST_TEMPERATURE)


def test_every_sample_may_have_a_temperature_of_its_own():
    teacher, student = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    temperature = np.array([[0.5], [4.0], [20.0]], "float32")
    loss = ctkd_loss(*map(ops.convert_to_tensor, (teacher, student, temperature)))
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss),
        expected.ctkd(teacher.astype(float), student.astype(float), temperature.astype(float)),
        rtol=1e-4,
    )


def test_the_gradient_is_reversed_and_the_value_kept():
    x = np.array([0.1, 0.7], "float32")
    value, gradients = value_and_gradients(lambda x: ops.sum(ops.square(reverse_gradient(x, 0.25))), {"x": x})
    np.testing.assert_allclose(value, 0.5, rtol=1e-6)
    np.testing.assert_allclose(gradients["x"], -0.25 * 2 * x, rtol=1e-6)


def with_frozen_student(learning_rate, **arguments):
    """A distiller that trains its temperature alone, compiled; and the logits of 16 samples."""
    keras.utils.set_random_seed(0)
    distiller = CTKDDistiller(dense(8), dense(3), label_weight=0.0, distillation_weight=1.0, **RANGE, **arguments)
    logits = [ops.convert_to_numpy(model(X)) for model in (distiller.teacher, distiller.student)]
    distiller.student.trainable = False
    distiller.compile(keras.optimizers.SGD(learning_rate))
    return distiller, [ops.convert_to_tensor(array) for array in logits]


@pytest.mark.compiles
@pytest.mark.parametrize("instance_wise", [False, True])
def test_the_temperature_climbs_the_loss(instance_wise):
    distiller, logits = with_frozen_student(10.0, curriculum_epochs=1, instance_wise=instance_wise)
    first = distiller.temperature(*logits)
    assert first.shape == ((16, 1) if instance_wise else (1,))
    np.testing.assert_allclose(ops.convert_to_numpy(first), FIRST_TEMPERATURE, rtol=1e-5)
    loss = ops.convert_to_numpy(ctkd_loss(*logits, first)).mean()
    distiller.fit(X, batch_size=16, epochs=3, verbose=0)
    assert ops.convert_to_numpy(ctkd_loss(*logits, distiller.temperature(*logits))).mean() > loss


def test_the_strength_grows_along_a_cosine():
    distiller, logits = with_frozen_student(1.0, curriculum_epochs=10)
    steps, epochs = [], [0, 4, 9, 30]
    for epoch in epochs:
        distiller.global_parameter.assign([1.0])
        distiller.fit(X, batch_size=16, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
        steps.append(float(distiller.global_parameter.numpy()[0]) - 1.0)
    strengths = [(1 - np.cos(np.pi * min((epoch + 1) / 10, 1))) / 2 for epoch in epochs]
    np.testing.assert_allclose(np.array(steps) / steps[-1], strengths, rtol=1e-2)


def test_the_student_learns_nothing_through_a_temperature():
    distiller, (teacher, student) = with_frozen_student(1.0, curriculum_epochs=1, instance_wise=True)
    rows = {"student": ops.convert_to_numpy(student)}
    _, gradients = value_and_gradients(lambda student: ops.sum(distiller.temperature(teacher, student)), rows)
    np.testing.assert_array_equal(gradients["student"], 0.0)


@pytest.mark.parametrize("argument", ["lowest_temperature", "temperature_range", "curriculum_epochs"])
def test_numbers_out_of_range(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a finite number above 0"):
        CTKDDistiller(dense(8), dense(3), **{argument: 0.0})
