"""A vision transformer on images of 32x32 pixels, which is no member of the zoo; it ends in logits."""

import keras
from keras import layers


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
