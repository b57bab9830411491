"""Names made from content: of samples, so that what is cached is found in any order, and of models."""

import hashlib
from collections.abc import Sequence
from typing import Any

import keras

SIZE = 16
"""Bytes of a sample's digest."""


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
