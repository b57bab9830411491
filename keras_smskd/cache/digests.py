"""Names made from content: of samples, so that what is cached is found in any order, and of models."""

import hashlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

SIZE = 16
"""Bytes of a sample's digest."""


def in_numpy(x: Any) -> Any:
    """A batch, or whole arrays, in NumPy, which has no bfloat16: float32 holds the same numbers."""

    def array(x: Any) -> np.ndarray:
        if "bfloat16" in str(x.dtype):
            x = keras.ops.cast(x, "float32")
        x = np.ascontiguousarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x)
        if x.dtype.kind not in "biuf":
            raise TypeError(f"`cache` needs inputs that are numbers. Received: an array of dtype={x.dtype}.")
        return x

    return keras.tree.map_structure(array, x)


def digests_of(x: Any) -> list[bytes]:
    """A digest of each sample of a batch, or of whole arrays, in NumPy."""
    arrays = keras.tree.flatten(x)
    kind = hashlib.blake2b(repr([(array.dtype.str, array.shape[1:]) for array in arrays]).encode(), digest_size=SIZE)
    rows = [array.reshape(len(array), -1).view("uint8") for array in arrays]
    digests = []
    for parts in zip(*rows, strict=True):
        hasher = kind.copy()
        for part in parts:
            hasher.update(part.data)
        digests.append(hasher.digest())
    return digests


def fingerprint(models: Sequence[keras.Model], *facts: Any) -> str:
    """A name for models with these weights, and for further facts."""
    hasher = hashlib.blake2b(repr(facts).encode(), digest_size=SIZE)
    for weight in (weight for model in models for weight in model.weights):
        hasher.update(keras.ops.convert_to_numpy(weight).tobytes())
    return hasher.hexdigest()
