import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.kdsvd import KDSVDDistiller, kdsvd_loss, singular_vectors
from tests import expected
from tests.autodiff import value_and_gradients
from tests.distillers.test_fsp import LAYERS, ConsecutiveContract
from tests.models import convolutional


class TestKDSVD(ConsecutiveContract):
    distiller_class = KDSVDDistiller
    pure_loss = staticmethod(kdsvd_loss)
    learning_rate = 0.1  # Larger steps outdo the jumps of the loss where another vector becomes the most similar.

    def expected_loss(self, teacher, student):
        return expected.kdsvd(teacher, student, count=1, along="channels")


def maps(seed, shapes=((2, 5, 5, 6), (2, 4, 4, 8))):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("along", ["channels", pytest.param("width", marks=pytest.mark.compiles)])
@pytest.mark.parametrize("vectors", [1, 3])
def test_variants(along, vectors):
    teacher, student = maps(0), maps(1)
    received = kdsvd_loss(*([ops.convert_to_tensor(x) for x in of] for of in (teacher, student)), vectors, along)
    right = expected.kdsvd(teacher, student, vectors, along)
    np.testing.assert_allclose(ops.convert_to_numpy(received), right, rtol=1e-3)


@pytest.mark.parametrize("size", [3, 5])
def test_gradients_of_vectors_are_exact(size):
    """Against differences, for matrices with more rows than columns and with fewer."""
    generator = np.random.default_rng(0)
    matrix, weights = generator.normal(size=(1, size, 4)), generator.normal(size=(4, 2))
    matrix /= np.linalg.norm(matrix)

    def value(matrix):
        return (weights * (_right(matrix[0]) ** 2)).sum()

    def loss(matrix):
        return ops.sum(ops.convert_to_tensor(weights.astype("float32")) * ops.square(singular_vectors(matrix, 2)[0]))

    gradient = value_and_gradients(loss, {"matrix": matrix.astype("float32")})[1]["matrix"]
    for index in range(matrix.size):
        step = np.zeros(matrix.size)
        step[index] = 1e-6
        step = step.reshape(matrix.shape)
        difference = (value(matrix + step) - value(matrix - step)) / 2e-6
        np.testing.assert_allclose(gradient.flat[index], difference, rtol=1e-3, atol=1e-4)


def _right(matrix):
    return np.linalg.svd(matrix, full_matrices=False)[2][:2].T


@pytest.mark.parametrize("case", ["equal singular values", "one position", "nearly equal singular values"])
def test_gradients_are_bounded(case):
    teacher, student = maps(0, [(2, 2, 2, 4)] * 2), maps(1, [(2, 2, 2, 4)] * 2)
    if case == "one position":
        teacher, student = maps(0, [(2, 1, 1, 4)] * 2), maps(1, [(2, 1, 1, 4)] * 2)
    else:
        student[0] = np.broadcast_to(np.eye(4, dtype="float32").reshape(2, 2, 4), (2, 2, 2, 4)).copy()
        student[0] += 1e-4 * student[1] * (case == "nearly equal singular values")

    def loss(first, second):
        teachers = [ops.convert_to_tensor(x) for x in teacher]
        return ops.mean(kdsvd_loss(teachers, [first, second]))

    value, gradients = value_and_gradients(loss, {"first": student[0], "second": student[1]})
    assert np.isfinite(value)
    assert all(np.abs(gradient).max() < 1e5 for gradient in gradients.values())


def test_the_sign_of_the_teacher_does_not_matter():
    """A map and its negative have the same singular vectors up to their arbitrary signs."""
    teacher, student = maps(0), [ops.convert_to_tensor(x) for x in maps(1)]
    losses = [kdsvd_loss([ops.convert_to_tensor(sign * x) for x in teacher], student) for sign in (1, -1)]
    np.testing.assert_allclose(*map(ops.convert_to_numpy, losses), rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": {"stage1": "stage1"}}, "`layers` of KDSVD, which compares consecutive layers, must have two"),
        ({"layers": LAYERS, "along": "height"}, "`along` must be one of"),
        ({"layers": LAYERS, "vectors": 0}, "`vectors` must be a whole number from 1 to 4"),
        ({"layers": LAYERS, "vectors": 5}, "`vectors` must be a whole number from 1 to 4"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        KDSVDDistiller(convolutional(4), convolutional(3), **arguments)
