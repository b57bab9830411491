import numpy as np
import pytest
from keras import ops

from keras_smskd.ops import dense_labels, huber, match_sizes, normalize, safe_divide, safe_sqrt
from tests.autodiff import value_and_gradients


def pooled(x, size):
    """Adaptive average pooling of (height, width, channels), in loops."""
    result = np.zeros((*size, x.shape[-1]))
    for i in range(size[0]):
        for j in range(size[1]):
            rows = slice(i * x.shape[0] // size[0], -(-(i + 1) * x.shape[0] // size[0]))
            columns = slice(j * x.shape[1] // size[1], -(-(j + 1) * x.shape[1] // size[1]))
            result[i, j] = x[rows, columns].mean(axis=(0, 1))
    return result


@pytest.mark.parametrize(
    ("teacher", "student"), [((8, 8), (4, 4)), ((4, 4), (7, 7)), ((5, 5), (3, 3)), ((6, 4), (3, 8)), ((4, 4), (4, 4))]
)
def test_match_sizes(teacher, student):
    generator = np.random.default_rng(0)
    maps = [generator.normal(size=(2, *size, 3)).astype("float32") for size in (teacher, student)]
    size = tuple(map(min, teacher, student))
    for received, given in zip(match_sizes(*map(ops.convert_to_tensor, maps)), maps, strict=True):
        expected = [pooled(sample, size) for sample in given]
        np.testing.assert_allclose(ops.convert_to_numpy(received), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("order", [1, 2])
def test_normalize(order):
    x = np.array([[3.0, -4.0], [0.0, 0.0], [1e-3, 0.0]], "float32")
    lengths = np.linalg.norm(x, order, axis=1, keepdims=True)
    expected = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    np.testing.assert_allclose(ops.convert_to_numpy(normalize(ops.convert_to_tensor(x), order)), expected, rtol=1e-5)
    _, gradients = value_and_gradients(lambda x: ops.sum(normalize(x, order) ** 3), {"x": x})
    assert (gradients["x"][1] == 0).all()
    assert np.isfinite(gradients["x"]).all()


@pytest.mark.parametrize("function", [safe_sqrt, lambda x: safe_divide(ops.ones_like(x), x)])
def test_nothing_is_infinite_at_zero(function):
    value, gradients = value_and_gradients(lambda x: ops.sum(function(x)), {"x": np.array([0.0, 4.0], "float32")})
    assert value in (2.0, 0.25)
    assert gradients["x"][0] == 0
    assert abs(gradients["x"][1]) in (0.25, 0.0625)


def test_huber():
    received = ops.convert_to_numpy(huber(ops.convert_to_tensor([-3.0, -0.5, 0.0, 0.5, 1.0, 2.0])))
    np.testing.assert_allclose(received, [2.5, 0.125, 0.0, 0.125, 0.5, 1.5])


def test_dense_labels():
    y, logits = np.array([2, 0]), ops.zeros((2, 3))
    for labels in (y, y[:, None], y.astype("float32"), np.eye(3)[y]):
        received = dense_labels(ops.convert_to_tensor(labels), logits)
        np.testing.assert_array_equal(ops.convert_to_numpy(received), np.eye(3)[y])
