import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_smskd.distillers.pkd import PKDDistiller, pkd_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import CLASSES, convolutional


def encoder(width, name=None, patch=4):
    """Images in, tokens `tokens` and their mean `pool`, logits out; a chain of layers."""
    chain = [
        keras.Input((8, 8, 1)),
        layers.Conv2D(width, patch, strides=patch),
        layers.Reshape((-1, width)),
        layers.Dense(width, activation="tanh", name="tokens"),
        layers.GlobalAveragePooling1D(name="pool"),
        layers.Dense(CLASSES, name="head"),
    ]
    x = inputs = chain[0]
    for layer in chain[1:]:
        x = layer(x)
    return keras.Model(inputs, x, name=name)


class TestPKD(DistillerContract):
    shapes = ((6, 4), (6, 4))
    layer = "tokens"

    @pytest.fixture(autouse=True)
    def _models(self, monkeypatch):
        monkeypatch.setattr("tests.contract.convolutional", encoder)

    def make(self, teacher, student, **arguments):
        return PKDDistiller(teacher, student, layers={"tokens": "tokens"}, **arguments)

    def loss(self, teacher, student, y):
        return pkd_loss(teacher, student)

    def expected(self, teacher, student, y):
        return expected.pkd(teacher, student)

    def projected(self, distiller, feature):
        return ops.convert_to_numpy(distiller.projectors[0](feature[:, 0], training=True))[:, None]


def test_only_the_first_token_is_read():
    teacher, student = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("float32")
    first = pkd_loss(*map(ops.convert_to_tensor, (teacher[:, :1], student[:, :3])))
    all_tokens = pkd_loss(*map(ops.convert_to_tensor, (teacher, student)))
    vectors = pkd_loss(*map(ops.convert_to_tensor, (teacher[:, 0], student[:, 0])))
    np.testing.assert_array_equal(ops.convert_to_numpy(first), ops.convert_to_numpy(all_tokens))
    np.testing.assert_array_equal(ops.convert_to_numpy(first), ops.convert_to_numpy(vectors))


def test_lengths_may_differ_and_vectors_will_do():
    distiller = PKDDistiller(encoder(8), encoder(3, patch=2), layers={"tokens": "tokens", "pool": "pool"})
    assert distiller.shape_pairs == (((8,), (3,)), ((8,), (3,)))
    assert [projector.output_shape for projector in distiller.projectors] == [(None, 8), (None, 8)]


def test_maps_have_no_first_token():
    with pytest.raises(ValueError, match="`layers` of PKD must name token sequences"):
        PKDDistiller(convolutional(8), convolutional(3), layers={"stage1": "stage1"})
