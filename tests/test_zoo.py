"""The models of benchmarks/zoo: sizes, layers, and what their blocks compute.

Parameters are those of RepDistiller's models (github.com/HobbitLong/RepDistiller, models/; those of mdistiller are the
same) for 100 classes. Depths differ by blocks of one kind: 97,216 parameters for six layers of a ResNet or of a Wide
ResNet of factor 1.
"""

import functools
import math
from unittest import mock

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from benchmarks.zoo import MODELS, blocks, build, shufflenet

pytestmark = pytest.mark.compiles

PARAMETERS = {
    "resnet8": 83_892,
    "resnet14": 181_108,
    "resnet20": 278_324,
    "resnet32": 472_756,
    "resnet44": 667_188,
    "resnet56": 861_620,
    "resnet110": 1_736_564,
    "resnet8x4": 1_233_540,
    "resnet32x4": 7_433_860,
    "wrn_16_1": 180_916,
    "wrn_16_2": 703_284,
    "wrn_40_1": 569_780,
    "wrn_40_2": 2_255_156,
    "vgg8": 3_965_028,
    "vgg13": 9_462_180,
    "mobilenet_v2": 812_836,
    "shufflenet_v1": 949_258,
    "shufflenet_v2": 1_355_528,
}
RESIDUAL = [(32, 32, 16), (16, 16, 32), (8, 8, 64), (64,)]
TWICE = [(32, 32, 32), (16, 16, 64), (8, 8, 128), (128,)]
FOUR_TIMES = [(32, 32, 64), (16, 16, 128), (8, 8, 256), (256,)]
VGG = [(32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512), (512,)]
SHAPES = {
    **{name: RESIDUAL for name in PARAMETERS if name.startswith(("resnet", "wrn"))},
    "resnet8x4": FOUR_TIMES,
    "resnet32x4": FOUR_TIMES,
    "wrn_16_2": TWICE,
    "wrn_40_2": TWICE,
    "vgg8": VGG,
    "vgg13": VGG,
    "mobilenet_v2": [(16, 16, 12), (8, 8, 16), (4, 4, 48), (2, 2, 160), (1280,)],
    "shufflenet_v1": [(16, 16, 240), (8, 8, 480), (4, 4, 960), (960,)],
    "shufflenet_v2": [(16, 16, 116), (8, 8, 232), (4, 4, 464), (1024,)],
}
FAMILIES = ["resnet8", "wrn_16_1", "vgg8", "mobilenet_v2", "shufflenet_v1", "shufflenet_v2"]


@functools.cache
def model(name, *arguments):
    """Its weights are drawn by NumPy: JAX compiles a program for every shape that Keras draws."""
    with mock.patch.object(keras.initializers.GlorotUniform, "__call__", lambda _, shape, dtype: draw(shape)):
        return build(name, *arguments)


def draw(shape):
    return np.random.default_rng(0).normal(scale=0.1, size=shape).astype("float32")


def test_all_models_are_tested():
    assert set(MODELS) == set(PARAMETERS) == set(SHAPES)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_as_many_as_published(name):
    assert sum(math.prod(weight.shape) for weight in model(name).trainable_variables) == PARAMETERS[name]


@pytest.mark.parametrize("name", MODELS)
def test_shapes_of_features(name):
    paths = [layer.name for layer in model(name).layers if layer.name.startswith("stage")]
    assert sorted(paths) == [f"stage{number}" for number in range(1, len(SHAPES[name]))]
    features = [model(name).get_layer(path).output for path in [*sorted(paths), "pool"]]
    assert [feature.shape[1:] for feature in features] == SHAPES[name]
    head = model(name).get_layer("head")
    assert head.input is model(name).get_layer("pool").output
    assert head.activation is keras.activations.linear


@pytest.mark.parametrize("name", MODELS)
def test_batch_normalization_is_that_of_pytorch(name):
    normalizations = [layer for layer in model(name).layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.epsilon, layer.momentum) for layer in normalizations} == {(1e-5, 0.9)}


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_of_small_images(name):
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    logits = model(name, 16, 7).predict_on_batch(images)
    assert logits.shape == (2, 7)
    assert (logits[0] != logits[1]).all()


@pytest.mark.parametrize("convolve", [functools.partial(blocks.convolution, width=1), blocks.depthwise])
def test_convolutions_that_stride_pad_on_all_sides(convolve):
    inputs = keras.Input((4, 4, 1))
    strided = keras.Model(inputs, convolve(inputs, strides=2))
    kernel, *_ = strided.trainable_variables
    kernel.assign(np.ones(kernel.shape))
    image = np.arange(16.0).reshape(4, 4)
    padded = np.pad(image, 1)
    expected = [[padded[row : row + 3, column : column + 3].sum() for column in (0, 2)] for row in (0, 2)]
    result = keras.ops.convert_to_numpy(strided(image[None, :, :, None].astype("float32")))
    np.testing.assert_allclose(result[0, :, :, 0], expected, rtol=1e-4)


def test_channels_are_shuffled_over_the_groups():
    inputs = keras.Input((2, 2, 6))
    shuffled = keras.Model(inputs, shufflenet._shuffled(inputs, 3))
    image = np.random.default_rng(0).normal(size=(1, 2, 2, 6)).astype("float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(shuffled(image)), image[..., [0, 2, 4, 1, 3, 5]])


def test_models_of_two_families_are_distilled():
    teacher, student = model("resnet8", 16, 7), model("shufflenet_v2", 16, 7)
    distiller = smskd.FitNetDistiller(teacher, student, layers={"stage2": "stage1"})
    assert [projector.output_shape[1:] for projector in distiller.projectors] == [(8, 8, 32)]


def test_the_reference_can_be_a_copy():
    smskd.reference.Reference(model("shufflenet_v2", 16, 7))


def test_an_unknown_model_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match=r"`name` must be a model of the zoo.*'resnet56'.*name='resnet57'"):
        build("resnet57")


@pytest.mark.parametrize("arguments", [{"image_size": 4}, {"classes": 0}])
def test_sizes_are_checked(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be a whole number of at least"):
        build("resnet8", **arguments)
