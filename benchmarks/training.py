"""What the benchmarks train on where only the cost matters, and how."""

import functools
from collections.abc import Callable

import keras
import numpy as np

BATCH_SIZE = 64


def noise(samples: int, classes: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Random images of CIFAR-100's size, and labels."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(samples, 32, 32, 3)).astype("float32")
    return x, generator.integers(0, classes, samples)


def label_loss() -> keras.losses.Loss:
    """Makes the label loss of all."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(model: keras.Model, metrics: list[str] | None = None) -> keras.Model:
    """Compiles a student or a distiller."""
    model.compile(keras.optimizers.SGD(0.001, momentum=0.9), label_loss(), metrics=metrics)
    return model


def epoch_of(model: keras.Model, x: np.ndarray, y: np.ndarray, batch_size: int = BATCH_SIZE) -> Callable[[], object]:
    """An epoch of a model that is compiled here."""
    return functools.partial(compiled(model).fit, x, y, batch_size=batch_size, verbose=0)


def accuracy(model: keras.Model, data: tuple[np.ndarray, np.ndarray]) -> float:
    """Per cent of images that are classified right."""
    logits = model.predict(data[0], batch_size=500, verbose=0)
    return round(100 * float(np.mean(logits.argmax(axis=-1) == data[1])), 2)
