"""CIFAR-100, for questions that noise cannot answer."""

import keras
import numpy as np

Data = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

MEAN, DEVIATION = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)


def cifar100(file: str | None) -> Data:
    """Reads a file as Keras writes it, or downloads it: training and test images, normalised, and labels."""
    if file is None:
        parts = keras.datasets.cifar100.load_data()
    else:
        arrays = np.load(file)
        parts = tuple((arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))
    return tuple((normalized(x), y.reshape(-1).astype("int32")) for x, y in parts)


def normalized(x: np.ndarray) -> np.ndarray:
    """Images of mean 0 and variance 1."""
    return ((x / np.float32(255) - np.float32(MEAN)) / np.float32(DEVIATION)).astype("float32")


def cropped_and_flipped(x: np.ndarray, seed: int) -> np.ndarray:
    """The field's augmentation: a crop out of an image padded by 4 pixels, and its mirror image half of the time."""
    generator = np.random.default_rng(seed)
    padded = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)))
    rows, columns = (generator.integers(0, 9, len(x))[:, None] + np.arange(32) for _ in range(2))
    flipped = generator.random(len(x)) < 0.5
    columns[flipped] = columns[flipped, ::-1]
    return padded[np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]]
