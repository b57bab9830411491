"""What the models of the zoo are made of, with the padding and the batch normalization of PyTorch."""

import keras
from keras import layers


def convolution(
    x: keras.KerasTensor, width: int, size: int = 3, strides: int = 1, groups: int = 1, use_bias: bool = False
) -> keras.KerasTensor:
    """Convolves, with the same padding on all sides."""
    x, padding = _padded(x, size, strides)
    return layers.Conv2D(width, size, strides=strides, padding=padding, groups=groups, use_bias=use_bias)(x)


def depthwise(x: keras.KerasTensor, strides: int = 1) -> keras.KerasTensor:
    """Convolves every channel on its own with 3x3 pixels, and normalizes."""
    x, padding = _padded(x, 3, strides)
    return normalized(layers.DepthwiseConv2D(3, strides=strides, padding=padding, use_bias=False)(x))


def normalized(x: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    """Normalizes over the batch."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def activated(x: keras.KerasTensor) -> keras.KerasTensor:
    """Normalizes over the batch, and applies a ReLU."""
    return layers.ReLU()(normalized(x))


def classifier(inputs: keras.KerasTensor, x: keras.KerasTensor, classes: int) -> keras.Model:
    """The model that classifies the mean of a map."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(classes, name="head")(x))


def _padded(x: keras.KerasTensor, size: int, strides: int) -> tuple[keras.KerasTensor, str]:
    """Keras's "same" pads below and on the right alone where it strides over an even number of pixels."""
    if size == 3 and strides > 1:
        return layers.ZeroPadding2D(1)(x), "valid"
    return x, "same"
