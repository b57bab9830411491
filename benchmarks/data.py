"""CIFAR-100, for questions that noise cannot answer."""

from typing import Any

import keras
import numpy as np

from keras_smskd.cache.views import Views

Images = tuple[np.ndarray, np.ndarray]
Data = tuple[Images, Images]

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


def reduced(x: np.ndarray, size: int) -> np.ndarray:
    """Smaller images, of the means of squares of pixels."""
    squares = x.reshape(len(x), size, x.shape[1] // size, size, x.shape[2] // size, x.shape[3])
    return squares.mean(axis=(2, 4)).astype("float32")


def cropped_and_flipped(x: np.ndarray, seed: int) -> np.ndarray:
    """The field's augmentation: a crop out of an image padded by an eighth, and its mirror image half of the time."""
    generator = np.random.default_rng(seed)
    size, padding = x.shape[1], x.shape[1] // 8
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = (generator.integers(0, 2 * padding + 1, len(x)) for _ in range(2))
    flipped = generator.random(len(x)) < 0.5
    cropped = np.empty_like(x)
    for image, source, row, column in zip(cropped, padded, rows, columns, strict=True):
        image[:] = source[row : row + size, column : column + size]
    cropped[flipped] = cropped[flipped, :, ::-1]
    return cropped


class NewViews(keras.utils.PyDataset):
    """Shuffled batches of augmented images; its `begin` is a callback's `on_epoch_begin`.

    Args:
        x: The images.
        y: Their labels.
        batch_size: Number of images in a batch, the last one too.
        seed: Of the views.
        views: Number of views of an image, which the epochs take in turns; None for new ones in every epoch.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, batch_size: int, seed: int, views: int | None = None) -> None:
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size
        self.count = views
        self.views = Views(views or 1, cropped_and_flipped, seed)
        self.begin(0)

    def begin(self, epoch: int, logs: Any = None) -> None:
        """Makes the views of an epoch."""
        self.rows = np.random.permutation(len(self.x))
        self.inputs = self.views.whole(self.x, epoch % self.count if self.count else epoch)

    def __len__(self) -> int:
        return len(self.x) // self.batch_size

    def __getitem__(self, index: int) -> Images:
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return self.inputs[rows], self.y[rows]
