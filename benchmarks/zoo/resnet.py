"""ResNets of the size of CIFAR's images (He et al. 2016, arXiv:1512.03385)."""

import keras
from keras import layers

from benchmarks.zoo.blocks import activated, classifier, convolution, normalized

WIDTHS = (16, 16, 32, 64)


def residual(blocks: int, widths: tuple[int, ...] = WIDTHS, image_size: int = 32, classes: int = 100) -> keras.Model:
    """Builds the ResNet of depth `6 * blocks + 2`, with layers `stage1` to `stage3`, `pool` and `head`.

    `normalization` is the layer in front of the ReLU `stage3`'s last branch, where some methods read.
    """
    inputs = keras.Input((image_size, image_size, 3))
    x = activated(convolution(inputs, widths[0]))
    for stage, width in enumerate(widths[1:], start=1):
        for block in range(blocks):
            last = block == blocks - 1
            x = _block(x, width, strides=2 if stage > 1 and block == 0 else 1, name=f"stage{stage}" if last else None)
    return classifier(inputs, x, classes)


def _block(x: keras.KerasTensor, width: int, strides: int, name: str | None) -> keras.KerasTensor:
    """Two convolutions and what goes past them."""
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = normalized(convolution(x, width, 1, strides))
    x = activated(convolution(x, width, strides=strides))
    x = normalized(convolution(x, width), name="normalization" if name == "stage3" else None)
    return layers.ReLU(name=name)(layers.Add()([x, shortcut]))
