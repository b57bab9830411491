import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd.base.masked import check_mask
from keras_smskd.distillers.hidden import HiddenDistiller, hidden_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import convolutional, dense


class TestHidden(DistillerContract):
    shapes = ((6, 4), (6, 4))
    layer = "stage2"

    def make(self, teacher, student, **arguments):
        return HiddenDistiller(teacher, student, layers={"stage2": "stage2"}, **arguments)

    def loss(self, teacher, student, y):
        return hidden_loss(teacher, student)

    def expected(self, teacher, student, y):
        return expected.hidden(*(x.reshape(len(x), -1, x.shape[-1]) for x in (teacher, student)))

    def projected(self, distiller, feature):
        return ops.convert_to_numpy(distiller.projectors[0](feature.reshape(len(feature), 16, -1), training=True))


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_the_mean_runs_over_the_kept_tokens_of_the_batch(dtype):
    teacher, student = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("float32")
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], dtype)
    losses = ops.convert_to_numpy(hidden_loss(*map(ops.convert_to_tensor, (teacher, student, mask))))
    np.testing.assert_allclose(losses, expected.hidden(teacher, student, mask), rtol=1e-5)
    kept = mask.astype(bool)
    np.testing.assert_allclose(losses.mean(), ((teacher - student)[kept] ** 2).mean(), rtol=1e-5)


def test_a_batch_of_padding_alone_has_no_loss():
    states = np.ones((2, 3, 4), "float32")
    losses = hidden_loss(*map(ops.convert_to_tensor, (states, 2 * states, np.zeros((2, 3)))))
    np.testing.assert_array_equal(ops.convert_to_numpy(losses), [0, 0])


def named(**shapes):
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    return keras.Model(inputs, sum(keras.layers.Dense(4)(keras.layers.Flatten()(each)) for each in inputs.values()))


@pytest.mark.parametrize("student", [named(x=(6,), mask=(6, 6)), named(x=(6,), mask=(1,)), named(x=(6,)), dense(3)])
def test_the_mask_must_be_an_input(student):
    with pytest.raises(
        ValueError, match=r"`mask` must name an input of shape \(batch, length\).*Received: mask='mask'"
    ):
        check_mask("mask", student, 6)


def test_the_mask_may_be_any_named_input():
    assert check_mask("mask", named(x=(6,), mask=(6,)), 6) == "mask"
    assert check_mask(None, dense(3), 6) is None


def test_without_projector_the_sizes_must_be_equal():
    HiddenDistiller(convolutional(3), convolutional(3), layers={"stage1": "stage1"}, projector=None)
    with pytest.raises(ValueError, match="`projector` must map the student's shape"):
        HiddenDistiller(convolutional(4), convolutional(3), layers={"stage1": "stage1"}, projector=None)
