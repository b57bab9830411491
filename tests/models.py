"""Small models and data for the tests."""

import keras
import numpy as np
from keras import layers

CLASSES = 4

UNTRACED = {"run_eagerly": keras.backend.backend() == "tensorflow"}
"""For `compile`, where a test is not about compiled steps: TensorFlow takes longer to trace one than to run a few."""


def label_loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(width, name=None, classes=CLASSES, size=6, **kwargs):
    """Vectors in, one hidden layer `hidden`, logits out."""
    return keras.Sequential(
        [
            keras.Input((size,)),
            layers.Dense(width, activation="tanh", name="hidden", **kwargs),
            layers.Dense(classes, name="head"),
        ],
        name=name,
    )


def convolutional(width, name=None, size=8, classes=CLASSES, **kwargs):
    """Images in, maps `stage1` and `stage2`, features `pool`, logits out; with batch normalisation."""
    x = inputs = keras.Input((size, size, 1))
    x = layers.Conv2D(width, 3, padding="same", activation="relu", name="stage1")(x)
    x = layers.BatchNormalization(name="normalization")(x)
    x = layers.Conv2D(2 * width, 3, strides=2, padding="same", activation="relu", name="stage2", **kwargs)(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(classes, name="head")(x), name=name)


def with_every_layer(width, size=8, channels=1, classes=CLASSES, normalization=layers.BatchNormalization):
    """Images in, maps, tokens that attend to each other, features `pool`, logits out: what any method may read."""
    half = size // 2
    x = inputs = keras.Input((size, size, channels))
    x = layers.Conv2D(width, 3, padding="same", name="stage1")(x)
    x = normalization(name="normalization")(x)
    x = layers.Conv2D(width, 3, strides=2, activation="relu", padding="same", name="stage2")(layers.ReLU()(x))
    tokens = layers.Reshape((half * half, width), name="tokens")(x)
    attend = layers.MultiHeadAttention(2, width // 2, name="attention")
    attended, _ = attend(tokens, tokens, return_attention_scores=True)
    x = layers.Add()([x, layers.Reshape((half, half, width))(attended)])
    x = layers.Conv2D(2 * width, 3, activation="relu", padding="same", name="stage3")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(classes, name="head")(x))


@keras.saving.register_keras_serializable("tests")
class Counter(layers.Layer):
    """Counts how often it is called from Python: every step when run eagerly, every trace when compiled."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = []

    def call(self, x):
        self.calls.append(1)
        return x


class Subclassed(keras.Model):
    """A model that is neither Functional nor Sequential."""

    def __init__(self, width, name=None):
        super().__init__(name=name)
        self.width = width
        self.hidden = layers.Dense(width, activation="tanh", name="hidden")
        self.head = layers.Dense(CLASSES, name="head")

    def call(self, x):
        return self.head(self.hidden(x))

    def get_config(self):
        return {"width": self.width, "name": self.name}


def subclassed(width, name=None):
    model = Subclassed(width, name)
    model(np.zeros((2, 6), "float32"))
    return model


def vectors(samples=32, size=6, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(samples, size)).astype("float32"), generator.integers(0, CLASSES, samples)


def images(samples=32, size=8, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(samples, size, size, 1)).astype("float32")
    return x, generator.integers(0, CLASSES, samples)


def weights_of(model):
    """Copies of all variables of a model, random seeds included."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in model.variables]


def assert_same_weights(model, expected):
    for variable, value in zip(model.variables, expected, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value, err_msg=variable.path)


def logits(model, x, training=False):
    """What a model outputs, in NumPy and float32."""
    return keras.ops.convert_to_numpy(keras.ops.cast(model(x, training=training), "float32"))
