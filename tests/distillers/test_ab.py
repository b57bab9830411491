import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.ab import ABDistiller, ab_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import convolutional, images, label_loss


class TestAB(DistillerContract):
    shapes = ((4, 4, 3), (4, 4, 3))
    layer = "stage2"

    def make(self, teacher, student, **arguments):
        return ABDistiller(teacher, student, layers={"stage2": "stage2"}, margin=0.5, **arguments)

    def loss(self, teacher, student, y):
        return ab_loss(teacher, student, margin=0.5)

    def expected(self, teacher, student, y):
        return expected.ab(teacher, student, margin=0.5)

    def projected(self, distiller, feature):
        return ops.convert_to_numpy(distiller.projectors[0](feature))

    def test_nothing_to_learn_from_an_equal(self):
        """An equal still lacks the margin where it is near the boundary; beyond the margin nothing is left."""
        _, student, y = self.features()
        student = np.where(student > 0, student + 0.5, student - 0.5)
        assert not ops.convert_to_numpy(self.loss(*map(ops.convert_to_tensor, (student, student, y)))).any()
        assert not self.gradient(student, student, y).any()


def test_only_the_sides_of_the_teacher_count():
    teacher, student, _ = TestAB().features()
    student = ops.convert_to_tensor(student)
    losses = [ops.convert_to_numpy(ab_loss(ops.convert_to_tensor(scale * teacher), student)) for scale in (1.0, 9.0)]
    np.testing.assert_array_equal(*losses)


@pytest.mark.compiles
@pytest.mark.parametrize(("growth", "of_first"), [(2.0, 0.5), (1.0, 1.0)])
def test_layers_grow_in_weight(growth, of_first):
    x, y = images(8)
    teacher, student = convolutional(3), convolutional(3)
    single = []
    for layer in ("stage1", "stage2"):
        distiller = ABDistiller(teacher, student, layers={layer: layer}, label_weight=0.0)
        single.append(distillation_loss(distiller, x, y))
    layers = {"stage1": "stage1", "stage2": "stage2"}
    both = distillation_loss(ABDistiller(teacher, student, layers=layers, growth=growth), x, y)
    np.testing.assert_allclose(both, of_first * single[0] + single[1], rtol=1e-5)


def distillation_loss(distiller, x, y):
    """What a step logs without moving the student."""
    distiller.compile("sgd", label_loss())
    distiller.optimizer.learning_rate = 0.0
    return distiller.fit(x, y, batch_size=8, verbose=0).history["distillation_loss"][0]


@pytest.mark.parametrize("name", ["margin", "growth"])
def test_bad_hyperparameters(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a finite number above 0. Received: {name}=0"):
        ABDistiller(convolutional(4), convolutional(3), layers={"stage2": "stage2"}, **{name: 0})
