"""Checks of labels: class ids, or probabilities of the classes."""

from typing import Any

import numpy as np
from keras import ops

Tensor = Any


def check_shape(y: Any, classes: int, name: str = "y") -> None:
    """Raises unless labels `y` are class ids below `classes`, or probabilities of `classes` classes."""
    shape = tuple(y.shape)
    if len(shape) == 2 and shape[1] == classes:
        return
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise ValueError(
            f"`{name}` must hold class ids of shape (batch,) or probabilities of shape (batch, {classes}). "
            f"Received: {name} of shape {shape}."
        )


def check_values(invalid: float, classes: int, name: str = "y", example: str = "") -> None:
    """Raises if any label was `invalid`, as counted by `count_invalid`."""
    if invalid:
        raise ValueError(
            f"`{name}` must hold class ids, which count from 0 to {classes - 1}, or probabilities that sum to 1. "
            f"Received: {int(invalid)} labels that do not{example}."
        )


def check_array(y: Any, classes: int, name: str = "y") -> None:
    """Raises unless labels are class ids or probabilities, if they are given as an array; anything else passes."""
    if not hasattr(y, "shape"):
        return
    check_shape(y, classes, name)
    y = y.to_numpy() if hasattr(y, "to_numpy") else y
    if isinstance(y, np.ndarray) and y.dtype.kind not in "biuf":
        raise ValueError(f"`{name}` must hold numbers: class ids or probabilities. Received: {name} of dtype {y.dtype}")
    y = ops.convert_to_tensor(y)
    invalid = np.flatnonzero(ops.convert_to_numpy(_are_invalid(y, classes)))
    example = ""
    if invalid.size:
        first = np.array2string(ops.convert_to_numpy(y)[invalid[0]], threshold=6)
        example = f", the first of them that of sample {invalid[0]}: {first}"
    check_values(invalid.size, classes, name, example)


def count_invalid(y: Tensor, classes: int) -> Tensor:
    """How many labels are no class id from 0 to `classes - 1`, or no probabilities that sum to 1."""
    return ops.sum(ops.cast(_are_invalid(y, classes), "float32"))


def _are_invalid(y: Tensor, classes: int) -> Tensor:
    y = ops.cast(y, "float32")
    if len(y.shape) == 2 and y.shape[1] == classes:
        valid = ops.logical_and(ops.abs(ops.sum(y, axis=-1) - 1.0) < 1e-2, ops.min(y, axis=-1) >= 0)
    else:
        valid = ops.logical_and(ops.logical_and(y >= 0, y < classes), ops.floor(y) == y)
    return ops.logical_not(valid)
