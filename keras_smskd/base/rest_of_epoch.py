"""Training that goes on within an epoch: its rest in one call of Keras's `fit`, the epochs after it in another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_smskd.base.built import build_metrics, of_array

Fit = Callable[..., keras.callbacks.History]


class OneFit(keras.callbacks.CallbackList):
    """Callbacks to which several calls of `fit` are one, until they are told its `end`."""

    has_begun = False

    def on_train_begin(self, logs: Any = None) -> None:
        if not self.has_begun:
            super().on_train_begin(logs)
        self.has_begun = True

    def on_train_end(self, logs: Any = None) -> None:
        """Waits for `end`."""

    def end(self) -> None:
        """Ends the training."""
        super().on_train_end()


def fit_rest(fit: Fit, model: Any, arguments: dict[str, Any], first: int) -> keras.callbacks.History:
    """Trains like `fit`, but leaves out the first batches of the first epoch.

    Args:
        fit: That of Keras.
        model: The distiller that it trains.
        arguments: Its arguments; `x` is `Ordered`.
        first: The batch to begin with.
    """
    dataset, epochs, verbose = arguments["x"], arguments["epochs"], arguments["verbose"]
    begin = arguments.get("initial_epoch", 0)
    described = {"verbose": verbose, "epochs": epochs, "steps": dataset.num_batches}
    callbacks = OneFit(arguments["callbacks"], add_history=True, add_progbar=verbose != 0, model=model, **described)
    arguments = {**arguments, "callbacks": callbacks}
    _, y, _ = keras.utils.unpack_x_y_sample_weight(dataset[0])
    build_metrics(model, of_array(y))  # For what they have measured before.
    dataset.first = first
    with _not_final(model.optimizer):
        fit(**{**arguments, "epochs": begin + 1})
    dataset.first = 0
    end = begin + 1 if model.stop_training else epochs
    history = fit(**{**arguments, "initial_epoch": begin + 1, "epochs": end})
    callbacks.end()
    return history


@contextmanager
def _not_final(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Keeps an optimizer from giving the weights their averages at the end of `fit`, which is not the last."""
    optimizer.finalize_variable_values = lambda weights: None
    try:
        yield
    finally:
        del optimizer.finalize_variable_values
