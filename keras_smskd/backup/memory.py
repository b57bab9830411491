"""What callbacks remember between epochs."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.backup.plain import Arrays, decode, encode, is_plain

PREFIX = "callback"
MADE_AGAIN = ("params", "_model", "_when_first_seen", "min_delta")
"""What is not remembered: Keras sets it in every `fit`, and gives `min_delta` its sign with the first logs."""


class Memory:
    """What callbacks remember that is made of plain values: what has changed since they were as their user made them.

    Args:
        callbacks: The callbacks, as their user made them.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self.callbacks = callbacks
        self.at_first = [_values(callback) for callback in callbacks]

    def encoded(self, arrays: Arrays) -> dict[str, Any]:
        """What has changed, as JSON and `arrays`, and whose it is."""
        changed = [
            {name: value for name, value in _values(callback).items() if not _same(value, at_first.get(name, self))}
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
    """Whether a number or a string stayed; what is larger may have changed inside."""
    return isinstance(value, bool | int | float | str | None) and type(value) is type(at_first) and value == at_first
