"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381)."""

import keras
from keras import layers

from benchmarks.zoo.blocks import activated, classifier, convolution, depthwise, normalized

# Expansion, width, blocks, strides; the name of what the last block puts out.
PLAN = (
    (1, 8, 1, 1, None),
    (6, 12, 2, 1, "stage1"),
    (6, 16, 3, 2, "stage2"),
    (6, 32, 4, 2, None),
    (6, 48, 3, 1, "stage3"),
    (6, 80, 3, 2, None),
    (6, 160, 1, 1, "stage4"),
)


def mobilenet_v2(image_size: int = 32, classes: int = 100) -> keras.Model:
    """Builds the MobileNetV2 of half the width, whose stages end without an activation.

    `stage1` has half the image's size; 1280 maps of the size of `stage4` are pooled.
    """
    inputs = keras.Input((image_size, image_size, 3))
    x = activated(convolution(inputs, 16, strides=2))
    for expansion, width, blocks, strides, name in PLAN:
        for block in range(blocks):
            last = block == blocks - 1
            x = _block(x, expansion, width, strides if block == 0 else 1, name if last else None)
    return classifier(inputs, activated(convolution(x, 1280, 1)), classes)


def _block(x: keras.KerasTensor, expansion: int, width: int, strides: int, name: str | None) -> keras.KerasTensor:
    """Widens, convolves, narrows; what goes past is added where the shape stays."""
    shortcut = x
    x = activated(convolution(x, expansion * x.shape[-1], 1))
    x = convolution(layers.ReLU()(depthwise(x, strides)), width, 1)
    if strides == 1 and shortcut.shape[-1] == width:
        return layers.Add(name=name)([normalized(x), shortcut])
    return normalized(x, name=name)
