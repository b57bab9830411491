"""Arrays that are trained on, in NumPy."""

import operator
from collections.abc import Iterable, Iterator
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
        if "bfloat16" in str(getattr(x, "dtype", None)):  # A data frame has one for every column.
            x = keras.ops.cast(x, "float32")
        x = np.asarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x, order="C")
        if x.dtype.kind not in "biuf":
            raise TypeError(f"`cache` and `seed` need data that are numbers. Received: an array of dtype={x.dtype}.")
        return x

    return keras.tree.map_structure(array, x)


def copies_of(variables: Iterable[Any]) -> list[np.ndarray]:
    """Copies of the values of variables, of those that differ between replicas what they are together."""
    return [np.array(in_numpy(keras.ops.convert_to_tensor(variable))) for variable in variables]


def is_finite(array: Any) -> bool:
    """Whether an array holds finite numbers alone, if it is a dense one of floating-point numbers."""
    if keras.ops.is_tensor(array):
        is_dense = hasattr(array, "__array__") and "float" in str(array.dtype)
        return not is_dense or bool(keras.ops.all(keras.ops.isfinite(array)))
    array = np.asarray(array)
    return "float" not in array.dtype.name or _has_finite_sum(array) or bool(np.isfinite(array).all())


def _has_finite_sum(array: np.ndarray) -> bool:
    """Whether the sum is finite: then so are the numbers, and no array of their size was made to know."""
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(np.sum(array, dtype="float64")))


def can_be_read_again(source: Any) -> bool:
    """Whether a source of batches begins anew whenever it is read, as a generator does not, and is known to end."""
    if isinstance(source, keras.utils.PyDataset):
        return source.num_batches is not None
    return iter(source) is not source


def batches_of(source: Any) -> Iterator[Any]:
    """The batches of a source, of a `PyDataset` by their numbers: Keras 3.8 knows no end of it otherwise."""
    if isinstance(source, keras.utils.PyDataset):
        return (source[index] for index in range(source.num_batches))
    return iter(source)


def number_of_batches(source: Any) -> int:
    """How many batches a source has, or 0 if it does not know."""
    if isinstance(source, keras.utils.PyDataset):
        return source.num_batches or 0
    return operator.length_hint(source)


def number_of_samples(data: Any) -> int:
    """How many samples arrays have, or 0 of a source of batches."""
    return keras.tree.flatten(data)[0].shape[0] if are_arrays(data) else 0


def arrays_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments of `fit` that have an axis of samples, in NumPy."""
    return {name: in_numpy(arguments[name]) for name in WITH_SAMPLES if arguments.get(name) is not None}


def check_samples(arrays: dict[str, Any]) -> None:
    """Raises unless arrays, or structures of them, have as many samples as one another, and one or more."""
    sizes = {name: _samples_of(array) for name, array in arrays.items() if array is not None}
    names, counts = ", ".join(f"`{name}`" for name in sizes), set().union(*sizes.values())
    if len(counts) > 1:
        raise ValueError(f"{names} must have as many samples as one another. Received: {sizes}")
    if 0 in counts:
        raise ValueError(f"{names} must hold one sample or more. Received: {sizes}")


def _samples_of(arrays: Any) -> set[int]:
    return {array.shape[0] if array.shape else 1 for array in keras.tree.flatten(arrays) if hasattr(array, "shape")}
