import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd import FitNetDistiller
from keras_smskd.distillers.fitnet import fitnet_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import convolutional, dense


class TestFitNet(DistillerContract):
    shapes = ((4, 4, 3), (4, 4, 3))
    layer = "stage2"

    def make(self, teacher, student, **arguments):
        return FitNetDistiller(teacher, student, layers={"stage2": "stage2"}, **arguments)

    def loss(self, teacher, student, y):
        return fitnet_loss(teacher, student)

    def expected(self, teacher, student, y):
        return expected.fitnet(teacher, student)

    def projected(self, distiller, feature):
        return ops.convert_to_numpy(distiller.projectors[0](feature, training=True))


def test_the_projector_learns_and_is_no_part_of_the_student():
    teacher, student = dense(8), dense(3)
    distiller = FitNetDistiller(teacher, student, layers={"hidden": "hidden"})
    before = [np.array(weight) for weight in map(ops.convert_to_numpy, distiller.projectors[0].weights)]
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    distiller.fit(np.ones((4, 6)), np.zeros(4), verbose=0)
    after = [ops.convert_to_numpy(weight) for weight in distiller.projectors[0].weights]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    assert len(student.weights) == 4


def test_without_projector_the_shapes_must_be_equal():
    FitNetDistiller(dense(8), dense(8), layers={"hidden": "hidden"}, projector=None)
    with pytest.raises(ValueError, match=r"`projector` must map the student's shape \(1,\) to the teacher's \(8,\)"):
        FitNetDistiller(dense(8), dense(1), layers={"hidden": "hidden"}, projector=None)


def test_a_width_of_one_does_not_broadcast():
    with pytest.raises(ValueError, match="one shape"):
        fitnet_loss(np.ones((2, 8)), np.ones((2, 1)))


def test_several_layers_add_up():
    teacher, student = convolutional(4), convolutional(3)
    distiller = FitNetDistiller(teacher, student, layers={"stage1": "stage1", "pool": "pool"})
    assert [projector.output_shape[1:] for projector in distiller.projectors] == [(8, 8, 4), (8,)]
