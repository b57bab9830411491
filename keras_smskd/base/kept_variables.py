"""Variables that a failing first step leaves as they were."""

from typing import Any

import keras


class KeptVariables(keras.callbacks.Callback):
    """Gives values back to the variables of a model and its optimizer, if its first step has failed; a context.

    On JAX Keras takes them out of the variables for an epoch, and puts back those of the last step that was done. When
    the first one raises there are none: teacher and student would be left without weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tuple[keras.Variable, Any]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        variables = [*self.model.variables, *self.model.optimizer.variables]
        self.values = [(variable, variable.value) for variable in variables]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.values = []

    def __enter__(self) -> None:
        """Begins the training."""

    def __exit__(self, *error: Any) -> None:
        for variable, value in self.values:
            if not _has_value(variable):
                variable.assign(value)


def _has_value(variable: keras.Variable) -> bool:
    try:
        return variable.value is not None
    except TypeError:  # Keras looks for an initializer.
        return False
