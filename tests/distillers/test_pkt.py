import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.pkt import PKTDistiller, pkt_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import dense, label_loss


class TestPKT(DistillerContract):
    shapes = ((7,), (3,))
    layer = "pool"
    learning_rate = 1.0  # The loss is small, and steps of the usual size would drown in rounding.

    def make(self, teacher, student, **arguments):
        return PKTDistiller(teacher, student, layers={"pool": "pool"}, **arguments)

    def loss(self, teacher, student, y):
        return pkt_loss(teacher, student)

    def expected(self, teacher, student, y):
        return expected.pkt(teacher, student)


def test_the_length_of_a_feature_does_not_matter():
    teacher, student = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    loss, scaled = (pkt_loss(ops.convert_to_tensor(teacher), ops.convert_to_tensor(x)) for x in (student, 9 * student))
    np.testing.assert_allclose(ops.convert_to_numpy(loss), ops.convert_to_numpy(scaled), rtol=1e-3, atol=1e-7)


def test_opposite_samples_have_no_infinite_logarithm():
    """What the logarithm of a probability of 0 is, float32 can tell to one percent."""
    student = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], "float32")
    teacher = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], "float32")
    loss = ops.convert_to_numpy(pkt_loss(ops.convert_to_tensor(teacher), ops.convert_to_tensor(student)))
    np.testing.assert_allclose(loss, expected.pkt(teacher.astype(float), student.astype(float)), rtol=1e-2)


def test_a_batch_needs_two_samples():
    distiller = PKTDistiller(dense(8), dense(3), layers={"hidden": "hidden"})
    distiller.compile("sgd", label_loss())
    with pytest.raises(ValueError, match="`batch_size` must be at least 2 for PKT"):
        distiller.fit(np.ones((4, 6)), np.zeros(4), batch_size=1, verbose=0)
