"""How many epochs of a stage have passed, told to the compiled step."""

from typing import Any

import keras

from keras_smskd.checks import check_callbacks


class EpochCounter(keras.callbacks.Callback):
    """Tells a distiller, at the start of every epoch, how many epochs came before it.

    Args:
        distiller: The distiller to tell. Its `first_epoch` is Keras's number of the epoch with which its stage began.
    """

    def __init__(self, distiller: Any) -> None:
        super().__init__()
        self.distiller = distiller

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.distiller.begin_epoch(epoch - self.distiller.first_epoch)


def in_front(callbacks: Any, *first: keras.callbacks.Callback) -> Any:
    """The user's callbacks with those of the distiller in front of them."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        for callback in first:
            callbacks.append(callback)
        return callbacks
    return [*first, *check_callbacks(callbacks)]
