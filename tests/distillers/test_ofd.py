import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.ofd import OFDDistiller, ofd_loss, ofd_margins
from tests import expected
from tests.contract import DistillerContract
from tests.models import convolutional

# The margin of a batch normalisation as it is before training: the mean of the negative half of a normal distribution.
MARGIN = -np.sqrt(2 / np.pi)


class TestOFD(DistillerContract):
    shapes = ((1, 1, 3), (1, 1, 3))
    layer = "normalization"

    def make(self, teacher, student, **arguments):
        return OFDDistiller(teacher, student, layers={"normalization": "normalization"}, **arguments)

    def loss(self, teacher, student, y):
        return ofd_loss(teacher, student, ops.full((teacher.shape[-1],), MARGIN))

    def expected(self, teacher, student, y):
        return expected.ofd(teacher, student, np.full(teacher.shape[-1], MARGIN))

    def projected(self, distiller, feature):
        return ops.convert_to_numpy(distiller.projectors[0](feature, training=True))


def margins_of(gamma, beta):
    return ops.convert_to_numpy(ofd_margins(*(ops.convert_to_tensor(x.astype("float32")) for x in (gamma, beta))))


def test_margins_are_the_mean_of_negative_responses():
    gamma, beta = np.array([1.0, 0.5, 2.0, -1.5, 1.0, 0.1]), np.array([0.0, 0.7, -3.0, 1.0, 3.5, 0.25])
    np.testing.assert_allclose(margins_of(gamma, beta), expected.ofd_margins(gamma, beta), rtol=1e-3)


def test_margins_of_dead_channels_are_what_the_channel_always_gives():
    np.testing.assert_allclose(margins_of(np.zeros(2), np.array([-0.5, 0.5])), [-0.5, 0.0])


def test_margins_without_scale_and_shift():
    def model(width):
        x = inputs = keras.Input((4, 4, 1))
        x = keras.layers.Conv2D(width, 3)(x)
        x = keras.layers.BatchNormalization(scale=False, center=False, name="normalization")(x)
        return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))

    distiller = OFDDistiller(model(4), model(3), layers={"normalization": "normalization"})
    np.testing.assert_allclose(
        ops.convert_to_numpy(distiller.margins_of("normalization")), np.full(4, MARGIN), rtol=1e-6
    )


def test_lower_layers_count_half():
    layers = {"stage1": "stage1", "stage2": "stage2"}
    margins = {"stage1": [-1.0] * 4, "stage2": [-1.0] * 8}
    distiller = OFDDistiller(convolutional(4), convolutional(4), layers=layers, margins=margins, projector=None)
    teacher, student = {"stage1": 2 * np.ones((2, 8, 8, 4)), "stage2": 3 * np.ones((2, 4, 4, 8))}, {}
    student = {path: np.zeros_like(feature) for path, feature in teacher.items()}
    teacher, student = ({k: ops.cast(v, "float32") for k, v in x.items()} for x in (teacher, student))
    loss = ops.convert_to_numpy(distiller.distillation_loss(teacher, student, None))
    np.testing.assert_allclose(loss, np.full(2, 4 * 8 * 8 * 4 / 2 + 9 * 4 * 4 * 8))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "must name batch normalisations of the teacher.*'stage2' of type Conv2D"),
        ({"margins": {"stage2": [-1.0]}}, r"must hold 8 numbers for 'stage2'.*shape \(1,\)"),
    ],
)
def test_margins_must_be_known(arguments, error):
    with pytest.raises(ValueError, match=error):
        OFDDistiller(convolutional(4), convolutional(3), layers={"stage2": "stage2"}, **arguments)


def test_one_teacher():
    teachers, layers = [convolutional(4), convolutional(4)], {"normalization": "normalization"}
    with pytest.raises(ValueError, match="`teachers` must be one for OFD"):
        OFDDistiller(teachers=teachers, student=convolutional(3), layers=layers)
