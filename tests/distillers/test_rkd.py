import keras
import numpy as np
import pytest

from keras_smskd.distillers.rkd import RKDDistiller, rkd_loss
from tests import expected
from tests.autodiff import value_and_gradients
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


@pytest.mark.compiles
class TestRKDSquared(TestRKD):
    arguments = {"distance_weight": 3.0, "angle_weight": 0.0, "squared": True}


@pytest.mark.compiles
class TestRKDOneByOne(TestRKD):
    arguments = {"distance_weight": 25.0, "angle_weight": 50.0, "squared": False, "one_by_one": True}

    def expected(self, teacher, student, y):
        return expected.rkd(teacher, student, 25.0, 50.0, squared=False)


@pytest.mark.parametrize("size", [2, 5, 16])
@pytest.mark.parametrize("weights", [(25.0, 50.0), (0.0, 1.0)])
def test_one_by_one_is_the_same(size, weights):
    generator = np.random.default_rng(size)
    teacher, student = (generator.normal(size=(size, width)).astype("float32") for width in (7, 3))
    student[-1] = student[0]  # A difference without direction.
    of_samples = keras.ops.convert_to_tensor(generator.uniform(size=size).astype("float32"))
    (value, gradients), (expected_value, expected_gradients) = (
        value_and_gradients(
            lambda student: keras.ops.sum(of_samples * rkd_loss(teacher, student, *weights, one_by_one=one_by_one)),  # noqa: B023
            {"student": student},
        )
        for one_by_one in (True, False)
    )
    gradient, expected_gradient = gradients["student"], expected_gradients["student"]
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-5 * np.abs(expected_gradient).max())


@pytest.mark.parametrize(("angle_weight", "smallest"), [(50.0, 3), (0.0, 2)])
def test_a_batch_needs_relations(angle_weight, smallest):
    distiller = RKDDistiller(dense(4), dense(3), layers={"hidden": "hidden"}, angle_weight=angle_weight)
    distiller.compile("sgd", label_loss())
    x, y = vectors(8)
    distiller.fit(x, y, batch_size=smallest, verbose=0)
    with pytest.raises(ValueError, match=f"`batch_size` must be at least {smallest} for RKD"):
        distiller.fit(x, y, batch_size=smallest - 1, verbose=0)
