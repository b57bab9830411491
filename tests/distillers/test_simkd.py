import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd import KDDistiller, SequentialDistiller, Stage
from keras_smskd.distillers.simkd import SimKDDistiller, reuse_classifier, simkd_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import Counter, convolutional, dense, images, label_loss, subclassed, weights_of

LAYERS = {"stage2": "stage2"}


class TestSimKD(DistillerContract):
    shapes = ((4, 4, 3), (4, 4, 3))
    layer = "stage2"

    def make(self, teacher, student, **arguments):
        reused = reuse_classifier(teacher, student, LAYERS)
        for layer in student.layers:
            if isinstance(layer, Counter):
                vars(reused.get_layer(layer.name))["calls"] = layer.calls  # The copy counts for the student.
        return SimKDDistiller(teacher, reused, layers={"stage2": "reused_projector"}, **arguments)

    def loss(self, teacher, student, y):
        return simkd_loss(teacher, student)

    def expected(self, teacher, student, y):
        return expected.simkd(teacher, student)

    def projected(self, distiller, feature):
        return ops.convert_to_numpy(distiller.student.get_layer("reused_projector")(feature, training=True))


def maps(width, strides=1, size=14):
    """Feature maps `maps` in front of global pooling and a classifier."""
    return keras.Sequential(
        [
            keras.Input((size, size, 1)),
            keras.layers.Conv2D(width, 3, strides=strides, padding="same", name="maps"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )


def test_the_student_ends_in_the_frozen_classifier_of_the_teacher():
    teacher, student = convolutional(4), convolutional(3)
    reused, (x, _) = reuse_classifier(teacher, student, LAYERS), images(8)
    maps_of = keras.Model(reused.input, reused.get_layer("reused_projector").output)
    pooled = ops.convert_to_numpy(maps_of(x)).mean(axis=(1, 2))
    kernel, bias = map(ops.convert_to_numpy, teacher.get_layer("head").weights)
    np.testing.assert_allclose(reused.predict(x, verbose=0), pooled @ kernel + bias, rtol=1e-4, atol=1e-5)
    assert not reused.get_layer("reused_classifier").trainable_variables
    assert all(variable.trainable for variable in teacher.trainable_variables)


def test_neither_model_is_changed():
    teacher, student = convolutional(4), convolutional(3)
    before = weights_of(teacher) + weights_of(student)
    reused = reuse_classifier(teacher, student, LAYERS)
    distiller = SimKDDistiller(teacher, reused, layers={"stage2": "reused_projector"})
    distiller.compile("sgd")
    distiller.fit(images(8)[0], verbose=0)
    for value, expected_value in zip(weights_of(teacher) + weights_of(student), before, strict=True):
        np.testing.assert_array_equal(value, expected_value)
    kernels = (ops.convert_to_numpy(model.get_layer("stage2").kernel) for model in (student, reused))
    assert np.not_equal(*kernels).any()


@pytest.mark.compiles
@pytest.mark.skipif(not hasattr(keras.layers, "AdaptiveAveragePooling2D"), reason="This Keras cannot pool so.")
@pytest.mark.parametrize(("of_teacher", "of_student", "size"), [(1, 2, 7), (2, 1, 7), (3, 1, 5), (3, 2, 5)])
def test_the_larger_map_is_pooled(of_teacher, of_student, size):
    teacher, student = maps(8, of_teacher), maps(3, of_student)
    reused = reuse_classifier(teacher, student, {"maps": "maps"}, factor=3)
    assert reused.get_layer("reused_projector").output.shape[1:] == (size, size, 8)
    assert reused.get_layer("reused_projector").layers[0].filters == 2
    distiller = SimKDDistiller(teacher, reused, layers={"maps": "reused_projector"})
    distiller.compile("sgd")
    history = distiller.fit(images(4, size=14)[0], verbose=0).history
    assert np.isfinite(history["distillation_loss"][0])


def test_a_layer_is_found_without_the_number_of_its_name():
    def model(width):
        convolution = keras.layers.Conv2D(width, 3, name="conv2d_10")
        pool = keras.layers.GlobalAveragePooling2D()
        return keras.Sequential([keras.Input((8, 8, 1)), convolution, pool, keras.layers.Dense(3)])

    reused = reuse_classifier(model(4), model(2), {"conv2d": "conv2d"})
    assert reused.output_shape == (None, 3)


class Calling(keras.layers.Layer):
    """A layer without `get_config`."""

    def __init__(self, function):
        super().__init__()
        self.call = function


def test_a_teacher_that_cannot_be_copied():
    doubled = Calling(lambda x: 2 * x)
    maps = [keras.layers.Conv2D(4, 3, name="stage2"), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)]
    teacher = keras.Sequential([keras.Input((8, 8, 1)), doubled, *maps])
    with pytest.raises(ValueError, match="`teacher` must be a model whose end can be copied. The model 'sequential"):
        reuse_classifier(teacher, convolutional(3), LAYERS)


@pytest.mark.compiles
def test_as_a_stage_in_front_of_others(tmp_path):
    x, y = images(16)
    teacher = convolutional(4)
    student = reuse_classifier(teacher, convolutional(3), LAYERS)
    classifier = weights_of(student.get_layer("reused_classifier"))
    stages = [
        Stage(SimKDDistiller(teacher, student, layers={"stage2": "reused_projector"}), epochs=1),
        Stage(KDDistiller(teacher, student), epochs=1),
    ]
    distiller = SequentialDistiller(stages)
    distiller.compile("sgd", label_loss())
    distiller.fit(x, y, verbose=0)
    for value, expected_value in zip(weights_of(student.get_layer("reused_classifier")), classifier, strict=True):
        np.testing.assert_array_equal(value, expected_value)
    student.save(tmp_path / "student.keras")
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), student.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert len(loaded.trainable_variables) == len(student.trainable_variables)


def nested():
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, convolutional(4, name="backbone")(inputs))


def residual():
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", name="stage1")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", name="stage2")(x) + x
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    ("teacher", "layers", "error"),
    [
        (lambda: subclassed(4), {"hidden": "stage2"}, "a Functional or Sequential teacher"),
        (nested, {"backbone/stage2": "stage2"}, "one of its own layers rather than one in a nested model"),
        (residual, {"stage2": "stage2"}, "through which alone the teacher"),
        (lambda: convolutional(4), {"stage1": "stage1", "stage2": "stage2"}, "`layers` must have one entry"),
        (lambda: dense(4), {"hidden": "stage2"}, "feature maps"),
    ],
)
def test_what_cannot_be_reused(teacher, layers, error):
    with pytest.raises(ValueError, match=error):
        reuse_classifier(teacher(), convolutional(3), layers)


def test_a_student_without_projector():
    with pytest.raises(ValueError, match=r"`layers` of SimKD must name layers of equal width.*widths 8 and 6"):
        SimKDDistiller(convolutional(4), convolutional(3), layers=LAYERS)
