import numpy as np
import pytest
from keras import layers, ops

from keras_smskd.projectors import projector


@pytest.mark.parametrize(
    ("teacher", "student", "kinds"),
    [
        ((7,), (5,), [layers.Dense]),
        ((3, 7), (3, 5), [layers.Dense]),
        ((8, 8, 7), (8, 8, 5), [layers.Conv2D, layers.BatchNormalization, layers.Activation]),
        ((4, 4, 7), (8, 8, 5), [layers.ZeroPadding2D, layers.Conv2D, layers.BatchNormalization, layers.Activation]),
        ((8, 8, 7), (4, 4, 5), [layers.Conv2DTranspose, layers.BatchNormalization, layers.Activation]),
        ((5, 6, 7), (8, 8, 5), [layers.Conv2D, layers.BatchNormalization, layers.Activation]),
    ],
)
def test_the_students_shape_becomes_the_teachers(teacher, student, kinds):
    model = projector(teacher, student)
    assert model(np.zeros((2, *student))).shape == (2, *teacher)
    assert [type(layer) for layer in model.layers] == kinds


def test_without_activation_negative_hints_can_be_met():
    model = projector((4, 4, 7), (4, 4, 5), activation=None)
    assert ops.convert_to_numpy(model(np.random.default_rng(0).normal(size=(2, 4, 4, 5)))).min() < 0


@pytest.mark.parametrize(
    ("teacher", "student", "message"),
    [
        ((12, 12, 3), (5, 5, 3), "at least as large as the teacher's, or half its size"),
        ((4, 4, 3), (4, 3), "same rank"),
        ((4, 3), (5, 3), "sequences of one length"),
    ],
)
def test_shapes_that_no_projector_fits(teacher, student, message):
    with pytest.raises(ValueError, match=message):
        projector(teacher, student)
