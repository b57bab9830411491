"""Models of the published benchmarks on images of 32x32 pixels; all end in logits."""

import keras
from keras import layers

WIDTHS = (16, 16, 32, 64)


def residual(blocks: int, widths: tuple[int, ...] = WIDTHS, classes: int = 100) -> keras.Model:
    """Builds the CIFAR ResNet of depth `6 * blocks + 2`, with layers `stage1` to `stage3`, `pool` and `head`.

    `normalization` is the layer in front of the ReLU `stage3`'s last branch, where some methods read.
    """
    x = inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(_normalized(layers.Conv2D(widths[0], 3, padding="same", use_bias=False), x))
    for stage, width in enumerate(widths[1:], start=1):
        for block in range(blocks):
            last = block == blocks - 1
            x = _block(x, width, strides=2 if stage > 1 and block == 0 else 1, name=f"stage{stage}" if last else None)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(classes, name="head")(x))


def _normalized(convolution: keras.Layer, x: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(convolution(x))


def _block(x: keras.KerasTensor, width: int, strides: int, name: str | None) -> keras.KerasTensor:
    """Two convolutions and what goes past them."""
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = _normalized(layers.Conv2D(width, 1, strides=strides, use_bias=False), x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.ReLU()(_normalized(layers.Conv2D(width, 3, strides=strides, use_bias=False), x))
    convolution = layers.Conv2D(width, 3, padding="same", use_bias=False)
    x = _normalized(convolution, x, name="normalization" if name == "stage3" else None)
    return layers.ReLU(name=name)(layers.Add()([x, shortcut]))


def transformer(blocks: int, width: int, heads: int = 2, classes: int = 100) -> keras.Model:
    """Builds a vision transformer on patches of 4x4 pixels, with layers `attention`, `tokens`, `pool` and `head`.

    The two first are of the last block.
    """
    x = inputs = keras.Input((32, 32, 3))
    x = layers.Reshape((64, width))(layers.Conv2D(width, 4, strides=4)(x))
    for block in range(blocks):
        last = block == blocks - 1
        attend = layers.MultiHeadAttention(heads, width // heads, name="attention" if last else None)
        normalized = layers.LayerNormalization()(x)
        attended, _ = attend(normalized, normalized, return_attention_scores=True)
        x = layers.Add()([x, attended])
        fed = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add(name="tokens" if last else None)([x, layers.Dense(width)(fed)])
    x = layers.GlobalAveragePooling1D(name="pool")(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(classes, name="head")(x))
