import pytest

from keras_smskd.distillers.rkd import RKDDistiller, rkd_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import dense, label_loss, vectors


class TestRKD(DistillerContract):
    shapes = ((9,), (4,))
    layer = "pool"
    arguments = {"distance_weight": 25.0, "angle_weight": 50.0, "squared": False}

    def make(self, teacher, student, **arguments):
        return RKDDistiller(teacher, student, layers={"pool": "pool"}, **self.arguments, **arguments)

    def loss(self, teacher, student, y):
        return rkd_loss(teacher, student, **self.arguments)

    def expected(self, teacher, student, y):
        return expected.rkd(teacher, student, **self.arguments)


class TestRKDSquared(TestRKD):
    arguments = {"distance_weight": 3.0, "angle_weight": 0.0, "squared": True}


@pytest.mark.parametrize(("angle_weight", "smallest"), [(50.0, 3), (0.0, 2)])
def test_a_batch_needs_relations(angle_weight, smallest):
    distiller = RKDDistiller(dense(4), dense(3), layers={"hidden": "hidden"}, angle_weight=angle_weight)
    distiller.compile("sgd", label_loss())
    x, y = vectors(8)
    distiller.fit(x, y, batch_size=smallest, verbose=0)
    with pytest.raises(ValueError, match=f"`batch_size` must be at least {smallest} for RKD"):
        distiller.fit(x, y, batch_size=smallest - 1, verbose=0)
