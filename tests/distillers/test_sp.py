import pytest

from keras_smskd.distillers.sp import SPDistiller, sp_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import dense


class TestSP(DistillerContract):
    shapes = ((2, 2, 7), (3, 3, 3))
    layer = "stage2"

    def make(self, teacher, student, **arguments):
        return SPDistiller(teacher, student, layers={"stage2": "stage2"}, **arguments)

    def loss(self, teacher, student, y):
        return sp_loss(teacher, student)

    def expected(self, teacher, student, y):
        return expected.sp(teacher, student)


def test_order_is_one_or_two():
    with pytest.raises(ValueError, match="`order` must be 1 or 2. Received: order=3"):
        SPDistiller(dense(4), dense(3), layers={"hidden": "hidden"}, order=3)
