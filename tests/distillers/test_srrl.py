import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.srrl import SRRLDistiller, srrl_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import CLASSES, convolutional, images, label_loss

WEIGHTS = {"feature_weight": 2.0, "regression_weight": 0.5}


def averaged(features):
    return features.reshape(len(features), -1, features.shape[-1]).mean(axis=1)


class TestSRRL(DistillerContract):
    shapes = ((4, 4, 3), (4, 4, 3))
    layer = "stage2"
    head = None

    def make(self, teacher, student, **arguments):
        return SRRLDistiller(teacher, student, layers={"stage2": "stage2"}, classifier="head", **WEIGHTS, **arguments)

    def kernel_and_bias(self, width):
        """The weights of the distiller's classifier where there is one, else made up."""
        if self.head is not None:
            return map(ops.convert_to_numpy, self.head.weights)
        return np.random.default_rng(0).normal(size=(width, CLASSES)).astype("float32"), np.ones(CLASSES, "float32")

    def loss(self, teacher, student, y):
        kernel, bias = map(ops.convert_to_tensor, self.kernel_and_bias(teacher.shape[-1]))
        logits = [ops.mean(features, axis=(1, 2)) @ kernel + bias for features in (teacher, student)]
        return srrl_loss(teacher, student, *logits, **WEIGHTS)

    def expected(self, teacher, student, y):
        kernel, bias = self.kernel_and_bias(teacher.shape[-1])
        logits = [averaged(features) @ kernel + bias for features in (teacher, student)]
        return expected.srrl(teacher, student, *logits, **WEIGHTS)

    def projected(self, distiller, feature):
        self.head = distiller.teacher.get_layer("head")
        return ops.convert_to_numpy(distiller.projectors[0](feature, training=True))


@pytest.mark.compiles
def test_the_classifier_stays_as_it_is_and_teaches_the_student():
    x, y = images(16)
    distiller = SRRLDistiller(
        convolutional(4),
        convolutional(3),
        layers={"stage2": "stage2"},
        classifier="head",
        feature_weight=0,
        label_weight=0,
    )
    head, stage = distiller.teacher.get_layer("head"), distiller.student.get_layer("stage2")
    before = [ops.convert_to_numpy(ops.copy(layer.kernel)) for layer in (head, stage)]
    distiller.compile("sgd", label_loss())
    distiller.fit(x, y, verbose=0)
    after = [ops.convert_to_numpy(layer.kernel) for layer in (head, stage)]
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[1] != after[1]).any()
    assert head.kernel.trainable


def test_pooled_features_do_as_well():
    distiller = SRRLDistiller(convolutional(4), convolutional(3), layers={"pool": "pool"}, classifier="head")
    assert distiller.projectors[0].output_shape == (None, 1, 1, 8)


@pytest.mark.parametrize(("layer", "classifier"), [("stage1", "head"), ("stage2", "pool")])
def test_the_classifier_must_give_the_logits_of_the_teacher(layer, classifier):
    def model(width):
        """Feature maps of one width everywhere, so that the classifier takes any."""
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(width, 3, activation="relu", name="stage1"),
                keras.layers.Conv2D(width, 3, activation="relu", name="stage2"),
                keras.layers.GlobalAveragePooling2D(name="average"),
                keras.layers.LayerNormalization(name="pool"),
                keras.layers.Dense(3, name="head"),
            ]
        )

    with pytest.raises(ValueError, match="`classifier` must name the layer of the teacher that makes its logits"):
        SRRLDistiller(model(8), model(4), layers={layer: layer}, classifier=classifier)


def test_the_target_is_the_average_of_all_positions_where_sizes_do_not_divide():
    teacher, student = convolutional(4, size=14), convolutional(3, size=8)
    distiller = SRRLDistiller(
        teacher,
        student,
        layers={"stage2": "stage2"},
        classifier="head",
        regression_weight=0.0,
        teacher_preprocessing=keras.layers.ZeroPadding2D(3),
    )
    generator = np.random.default_rng(0)
    hint, feature = (generator.normal(size=(2, *shape)).astype("float32") for shape in ((7, 7, 8), (4, 4, 6)))
    logits = np.zeros((2, CLASSES), "float32")
    of_models = (
        {"stage2": ops.convert_to_tensor(of), "logits": ops.convert_to_tensor(logits)} for of in (hint, feature)
    )
    loss = ops.convert_to_numpy(distiller.distillation_loss(*of_models, None))
    projected = ops.convert_to_numpy(distiller.projectors[0](feature, training=True))
    np.testing.assert_allclose(loss, ((averaged(projected) - averaged(hint)) ** 2).mean(axis=-1), rtol=1e-4)


def test_one_teacher():
    teachers, layers = [convolutional(4), convolutional(4)], {"stage2": "stage2"}
    with pytest.raises(ValueError, match="`teachers` must be one for SRRL"):
        SRRLDistiller(teachers=teachers, student=convolutional(3), layers=layers, classifier="head")
