"""Datasets whose order is drawn when an epoch begins, so that a seed repeats it and an epoch can be taken up again."""

import math
from typing import Any

import keras
import numpy as np


class Ordered(keras.utils.PyDataset):
    """Batches in an order that NumPy's global generator draws, which `keras.utils.set_random_seed` seeds.

    Args:
        shuffle: Whether to take another order in every epoch.
        **kwargs: Those of `PyDataset`.
    """

    first = 0
    """The batch with which the epoch begins; those before it are left out."""

    def __init__(self, shuffle: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shuffle = shuffle

    def order(self, count: int) -> np.ndarray:
        """An order of so many samples or batches."""
        return np.random.permutation(count) if self.shuffle else np.arange(count)

    def begin(self, epoch: int, logs: Any = None) -> None:
        """Draws the order of an epoch."""
        raise NotImplementedError

    def batch(self, index: int) -> Any:
        """A batch of the epoch, as Keras takes it."""
        raise NotImplementedError

    def whole(self) -> int:
        """How many batches an epoch has when none is left out."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self.whole() - self.first

    def __getitem__(self, index: int) -> Any:
        return self.batch(index + self.first)


class OrderedArrays(Ordered):
    """Batches of arrays, whose samples are shuffled.

    Args:
        arrays: The arrays by name, each with an axis of samples.
        batch_size: Samples of a batch; None for Keras's 32.
        shuffle: Whether to take the samples in another order in every epoch.
    """

    def __init__(self, arrays: dict[str, Any], batch_size: int | None, shuffle: bool) -> None:
        super().__init__(shuffle)
        self.arrays, self.batch_size = arrays, batch_size or 32
        self.samples = len(keras.tree.flatten(arrays)[0])
        self.rows = np.arange(self.samples)

    def begin(self, epoch: int, logs: Any = None) -> None:
        """Draws the order of the samples."""
        self.rows = self.order(self.samples)

    def whole(self) -> int:
        """The batches that all samples make."""
        return math.ceil(self.samples / self.batch_size)

    def batch(self, index: int) -> Any:
        """The samples of a batch."""
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return self.packed(keras.tree.map_structure(lambda array: array[rows], self.arrays))

    def packed(self, arrays: dict[str, Any]) -> Any:
        """A batch from its rows of the arrays."""
        return keras.utils.pack_x_y_sample_weight(**arrays)


class OrderedBatches(Ordered):
    """A `PyDataset` of known length, whose batches are shuffled as Keras shuffles them.

    Args:
        dataset: The dataset.
        shuffle: Whether to take the batches in another order in every epoch.
    """

    def __init__(self, dataset: keras.utils.PyDataset, shuffle: bool) -> None:
        queue = {name: getattr(dataset, name) for name in ("workers", "use_multiprocessing", "max_queue_size")}
        super().__init__(shuffle, **queue)
        self.dataset = dataset
        self.batches = np.arange(dataset.num_batches)

    def begin(self, epoch: int, logs: Any = None) -> None:
        """Draws the order of the batches."""
        self.batches = self.order(self.whole())

    def whole(self) -> int:
        """The batches of the dataset."""
        return int(self.dataset.num_batches)

    def batch(self, index: int) -> Any:
        """The batch at a place of the order."""
        return self.dataset[int(self.batches[index])]

    def on_epoch_begin(self) -> None:
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.dataset.on_epoch_end()
