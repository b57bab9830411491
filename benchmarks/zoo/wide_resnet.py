"""Wide ResNets (Zagoruyko and Komodakis 2016, arXiv:1605.07146)."""

import keras
from keras import layers

from benchmarks.zoo.blocks import activated, classifier, convolution


def wide_residual(blocks: int, factor: int, image_size: int = 32, classes: int = 100) -> keras.Model:
    """Builds the Wide ResNet of depth `6 * blocks + 4`, `factor` times as wide as a ResNet.

    A stage ends in a sum, whose ReLU is the first layer of the next stage, as in the benchmarks.
    """
    inputs = keras.Input((image_size, image_size, 3))
    x = convolution(inputs, 16)
    for stage, width in enumerate((16 * factor, 32 * factor, 64 * factor), start=1):
        for block in range(blocks):
            last = block == blocks - 1
            x = _block(x, width, strides=2 if stage > 1 and block == 0 else 1, name=f"stage{stage}" if last else None)
    return classifier(inputs, activated(x), classes)


def _block(x: keras.KerasTensor, width: int, strides: int, name: str | None) -> keras.KerasTensor:
    """Two convolutions of what is activated; where the width changes, what goes past them is activated too."""
    shortcut, x = x, activated(x)
    if shortcut.shape[-1] != width:
        shortcut = convolution(x, width, 1, strides)
    x = convolution(activated(convolution(x, width, strides=strides)), width)
    return layers.Add(name=name)([x, shortcut])
