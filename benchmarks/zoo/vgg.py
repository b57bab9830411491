"""VGGs with batch normalization and one linear layer (Simonyan and Zisserman 2015, arXiv:1409.1556)."""

import keras
from keras import layers

from benchmarks.zoo.blocks import classifier, convolution, normalized


def vgg(convolutions: int, image_size: int = 32, classes: int = 100) -> keras.Model:
    """Builds the VGG with `convolutions` in each of its five blocks, the two last of one resolution.

    The convolutions have biases, as in the benchmarks, whose features are counted from 0: their feature 2 is `stage3`.
    """
    x = inputs = keras.Input((image_size, image_size, 3))
    for stage, width in enumerate((64, 128, 256), start=1):
        x = layers.MaxPooling2D()(_block(x, width, convolutions, name=f"stage{stage}"))
    x = _block(_block(x, 512, convolutions), 512, convolutions, name="stage4")
    return classifier(inputs, x, classes)


def _block(x: keras.KerasTensor, width: int, convolutions: int, name: str | None = None) -> keras.KerasTensor:
    for number in range(1, convolutions + 1):
        x = normalized(convolution(x, width, use_bias=True))
        x = layers.ReLU(name=name if number == convolutions else None)(x)
    return x
