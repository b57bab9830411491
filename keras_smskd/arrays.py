"""Arrays that are trained on: in NumPy, and in batches of an order that is known."""

import math
from typing import Any

import keras
import numpy as np

WITH_SAMPLES = ("x", "y", "sample_weight")


def are_arrays(x: Any) -> bool:
    """Whether training data are arrays, with an axis of samples, and no source of batches."""
    return not isinstance(x, keras.utils.PyDataset) and all(hasattr(a, "shape") for a in keras.tree.flatten(x))


def in_numpy(x: Any) -> Any:
    """A batch, or whole arrays, in NumPy, which has no bfloat16: float32 holds the same numbers."""

    def array(x: Any) -> np.ndarray:
        if "bfloat16" in str(x.dtype):
            x = keras.ops.cast(x, "float32")
        x = np.asarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x, order="C")
        if x.dtype.kind not in "biuf":
            raise TypeError(f"`cache` and `seed` need data that are numbers. Received: an array of dtype={x.dtype}.")
        return x

    return keras.tree.map_structure(array, x)


def arrays_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments of `fit` that have an axis of samples, in NumPy."""
    arrays = {name: in_numpy(arguments[name]) for name in WITH_SAMPLES if arguments.get(name) is not None}
    sizes = {name: {len(leaf) for leaf in keras.tree.flatten(array)} for name, array in arrays.items()}
    if len(set.union(*sizes.values())) > 1:
        raise ValueError(f"`x`, `y` and `sample_weight` must have as many samples as one another. Received: {sizes}")
    return arrays


class OrderedArrays(keras.utils.PyDataset):
    """Batches of arrays, shuffled when an epoch begins by NumPy's global generator, which `set_random_seed` seeds.

    Args:
        arrays: The arrays by name, each with an axis of samples.
        batch_size: Samples of a batch; None for Keras's 32.
        shuffle: Whether to take the samples in another order in every epoch.
    """

    def __init__(self, arrays: dict[str, Any], batch_size: int | None, shuffle: bool) -> None:
        super().__init__()
        self.arrays, self.batch_size, self.shuffle = arrays, batch_size or 32, shuffle
        self.samples = len(keras.tree.flatten(arrays)[0])
        self.rows = np.arange(self.samples)

    def begin(self, epoch: int, logs: Any = None) -> None:
        """Draws the order of an epoch."""
        if self.shuffle:
            self.rows = np.random.permutation(self.samples)

    def __len__(self) -> int:
        return math.ceil(self.samples / self.batch_size)

    def __getitem__(self, index: int) -> Any:
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return self.batch(keras.tree.map_structure(lambda array: array[rows], self.arrays))

    def batch(self, arrays: dict[str, Any]) -> Any:
        """A batch as Keras takes it, from its rows of the arrays."""
        return keras.utils.pack_x_y_sample_weight(**arrays)
