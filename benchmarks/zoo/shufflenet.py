"""ShuffleNet (Zhang et al. 2018, arXiv:1707.01083) and ShuffleNetV2 (Ma et al. 2018, arXiv:1807.11164)."""

import keras
from keras import layers, ops

from benchmarks.zoo.blocks import activated, classifier, convolution, depthwise, normalized

BLOCKS = (4, 8, 4)


def shufflenet_v1(image_size: int = 32, classes: int = 100) -> keras.Model:
    """Builds the ShuffleNet with three groups; `stage1` has half the image's size."""
    inputs = keras.Input((image_size, image_size, 3))
    x = activated(convolution(inputs, 24, 1))
    for stage, (width, blocks) in enumerate(zip((240, 480, 960), BLOCKS, strict=True), start=1):
        x = _grouped(x, width - x.shape[-1], groups=1 if stage == 1 else 3, strides=2)
        for block in range(1, blocks):
            x = _grouped(x, width, groups=3, name=f"stage{stage}" if block == blocks - 1 else None)
    return classifier(inputs, x, classes)


def shufflenet_v2(image_size: int = 32, classes: int = 100) -> keras.Model:
    """Builds the ShuffleNetV2; `stage1` has half the image's size, 1024 maps of the size of `stage3` are pooled."""
    inputs = keras.Input((image_size, image_size, 3))
    x = activated(convolution(inputs, 24, 1))
    for stage, (width, blocks) in enumerate(zip((116, 232, 464), BLOCKS, strict=True), start=1):
        x = _halved(x, width // 2)
        for block in range(1, blocks):
            x = _split(x, width // 2, name=f"stage{stage}" if block == blocks - 1 else None)
    return classifier(inputs, activated(convolution(x, 1024, 1)), classes)


def _shuffled(x: keras.KerasTensor, groups: int, name: str | None = None) -> keras.KerasTensor:
    """The first channel of every group, then the second of every group, and so on."""
    height, width, channels = x.shape[1:]
    x = layers.Reshape((height, width, groups, channels // groups))(x)
    return layers.Reshape((height, width, channels), name=name)(layers.Permute((1, 2, 4, 3))(x))


def _grouped(
    x: keras.KerasTensor, width: int, groups: int, strides: int = 1, name: str | None = None
) -> keras.KerasTensor:
    """A block of ShuffleNet; `groups` are those of its first convolution, the last has always three."""
    shortcut = x
    x = _shuffled(activated(convolution(x, width // 4, 1, groups=groups)), groups)
    x = normalized(convolution(layers.ReLU()(depthwise(x, strides)), width, 1, groups=3))
    if strides == 1:
        return layers.ReLU(name=name)(layers.Add()([x, shortcut]))
    shortcut = layers.AveragePooling2D(3, strides=2)(layers.ZeroPadding2D(1)(shortcut))
    return layers.ReLU(name=name)(layers.Concatenate()([x, shortcut]))


def _halved(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """The first block of a stage of ShuffleNetV2: two branches of `width` channels, half as large."""
    left = activated(convolution(depthwise(x, strides=2), width, 1))
    right = depthwise(activated(convolution(x, width, 1)), strides=2)
    return _shuffled(layers.Concatenate()([left, activated(convolution(right, width, 1))]), 2)


def _split(x: keras.KerasTensor, width: int, name: str | None) -> keras.KerasTensor:
    """A block of ShuffleNetV2, which leaves the first half of the channels as it is."""
    past, x = ops.split(x, 2, axis=-1)
    x = depthwise(activated(convolution(x, width, 1)))
    return _shuffled(layers.Concatenate()([past, activated(convolution(x, width, 1))]), 2, name)
