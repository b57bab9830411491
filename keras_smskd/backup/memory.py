"""What callbacks remember between epochs."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_smskd.backup.plain import Arrays, decode, digest, encode, is_plain

PREFIX = "callback"
MADE_AGAIN = ("params", "_model", "_when_first_seen", "min_delta")
"""What is not remembered: Keras sets it in every `fit`, and gives `min_delta` its sign with the first logs."""


class FirstSight:
    """What callbacks remembered when a run saw them first: another process has that from the user's script."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[keras.callbacks.Callback, dict[str, Any]]] = {}

    def of(self, callback: keras.callbacks.Callback) -> dict[str, Any]:
        """Numbers and strings as they were, and digests of arrays."""
        if id(callback) not in self._seen:
            at_first = {name: _mark(value) for name, value in _values(callback).items()}
            self._seen[id(callback)] = callback, at_first
        return self._seen[id(callback)][1]


class Memory:
    """What callbacks remember that is made of plain values: what has changed since they were as their user made them.

    Args:
        callbacks: The callbacks of a stage.
        first_sight: Knows how the run saw them first.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], first_sight: FirstSight) -> None:
        self.callbacks = callbacks
        self.at_first = [first_sight.of(callback) for callback in callbacks]

    def encoded(self, arrays: Arrays) -> dict[str, Any]:
        """What has changed, as JSON and `arrays`, and whose it is."""
        changed = [
            {name: value for name, value in _values(callback).items() if not _same(value, at_first.get(name))}
            for callback, at_first in zip(self.callbacks, self.at_first, strict=True)
        ]
        return {"of": self._names(), "changed": [encode(values, arrays, PREFIX) for values in changed]}

    def restore(self, memories: dict[str, Any], arrays: Arrays) -> None:
        """Gives the callbacks back what they remembered, if they are those of before."""
        if memories["of"] != self._names():
            warnings.warn(
                "The callbacks begin anew, for they are not those with which the run began. "
                f"Received: {self._names()}, before: {memories['of']}",
                stacklevel=2,
            )
            return
        for callback, values in zip(self.callbacks, memories["changed"], strict=True):
            vars(callback).update(decode(values, arrays))

    def _names(self) -> list[str]:
        return [type(callback).__name__ for callback in self.callbacks]


def _values(callback: keras.callbacks.Callback) -> dict[str, Any]:
    return {name: value for name, value in vars(callback).items() if name not in MADE_AGAIN and is_plain(value)}


def _same(value: Any, at_first: Any) -> bool:
    """Whether a number, a string or an array stayed; a list or a dict may have changed inside."""
    return not isinstance(value, list | tuple | dict) and _mark(value) == at_first


def _mark(value: Any) -> Any:
    """What tells whether a value has changed."""
    return type(value), digest(value) if isinstance(value, np.ndarray) else value
