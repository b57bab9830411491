"""Names made from content: of samples, so that what is cached is found in any order, and of models."""

import hashlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

SIZE = 16
"""Bytes of a sample's digest."""


def in_numpy(x: Any) -> Any:
    """A batch, or whole arrays, in NumPy."""

    def array(x: Any) -> np.ndarray:
        return np.ascontiguousarray(keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else x)

    return keras.tree.map_structure(array, x)


def digests_of(x: Any) -> list[bytes]:
    """A digest of each sample of a batch, or of whole arrays, in NumPy."""
    arrays = keras.tree.flatten(x)
    return [_digest([array[index] for array in arrays]) for index in range(len(arrays[0]))]


def fingerprint(models: Sequence[keras.Model], *facts: Any) -> str:
    """A name for models with these weights, and for further facts."""
    hasher = hashlib.blake2b(repr(facts).encode(), digest_size=SIZE)
    for variable in (variable for model in models for variable in model.weights):
        hasher.update(keras.ops.convert_to_numpy(variable).tobytes())
    return hasher.hexdigest()


def described(function: Any) -> str:
    """A function or a layer in words that are the same in every process."""
    if isinstance(function, keras.Layer):
        return repr(sorted((key, value) for key, value in function.get_config().items() if key != "name"))
    code = getattr(function, "__code__", None)
    return repr((getattr(function, "__qualname__", type(function).__name__), code and (code.co_code, code.co_names)))


def _digest(parts: Sequence[np.ndarray]) -> bytes:
    hasher = hashlib.blake2b(digest_size=SIZE)
    for part in parts:
        hasher.update(part.tobytes())
    return hasher.digest()
