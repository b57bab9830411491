"""Values of Python as JSON and arrays, and back: no code is ever stored or run."""

import hashlib
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

ARRAY, ITEMS, TUPLE = "array", "items", "tuple"

SCALARS = (bool, int, float, str, type(None))


def is_plain(value: Any) -> bool:
    """Whether a value is made of numbers, strings, arrays, and lists, tuples and dicts of them, but no subclasses."""
    kind = type(value)
    if kind in (list, tuple):
        return all(is_plain(item) for item in value)
    if kind is dict:
        return all(type(key) in SCALARS and is_plain(item) for key, item in value.items())
    if kind is np.ndarray:
        return value.dtype.kind in "biuf"
    return kind in SCALARS or isinstance(value, np.number | np.bool_)


def encode(value: Any, arrays: Arrays, prefix: str) -> Any:
    """A plain value as JSON has it. Its arrays are put among `arrays`, under names that begin with `prefix`."""
    if isinstance(value, np.ndarray | np.number | np.bool_):
        name = f"{prefix}/{len(arrays)}"
        arrays[name] = np.array(value)
        return {ARRAY: name}
    if isinstance(value, tuple):
        return {TUPLE: [encode(item, arrays, prefix) for item in value]}
    if isinstance(value, list):
        return [encode(item, arrays, prefix) for item in value]
    if isinstance(value, dict):
        return {ITEMS: [[key, encode(item, arrays, prefix)] for key, item in value.items()]}
    return value


def decode(value: Any, arrays: Arrays) -> Any:
    """The value that was encoded."""
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if ARRAY in value:
        return arrays[value[ARRAY]][()]  # A number where there is no axis.
    if TUPLE in value:
        return tuple(decode(item, arrays) for item in value[TUPLE])
    return {key: decode(item, arrays) for key, item in value[ITEMS]}


def digest(array: np.ndarray) -> str:
    """A name for the content of an array."""
    hasher = hashlib.blake2b(repr((array.dtype.str, array.shape)).encode(), digest_size=16)
    hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()
