"""Training that is divided among replicas."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_smskd.base.tapped_model import TappedModel
from keras_smskd.replicas import replicas

Tensor = Any


class Replicated(TappedModel):
    """A model that several processes train as one."""

    gather = False
    """Whether the distillation loss is that of the whole batch; see `Distiller.compile`."""

    _together = False

    @property
    def parts(self) -> int:
        """How many parts of a batch, as this replica has one, the distillation loss sees."""
        return replicas().count if self.gather else 1

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        with replicas().averaging(self.optimizer):
            logs = super().train_step(*args, **kwargs)
        trained = {id(variable) for variable in self.trainable_variables}
        moved = [variable for variable in self.own_variables if id(variable) not in trained]
        replicas().align([variable for variable in moved if variable.aggregation in ("none", "mean")])
        return logs

    def get_metrics_result(self) -> dict[str, Tensor]:
        values = replicas().summed(self.metrics_variables) if self._together else []
        if not values:
            return super().get_metrics_result()
        with keras.StatelessScope(state_mapping=values):
            return super().get_metrics_result()

    @contextmanager
    def trained_together(self) -> Iterator[None]:
        """Begins with the variables of the first process; until the context ends, logs are those of all processes."""
        replicas().align(self.variables)
        self._together = True
        try:
            yield
        finally:
            self._together = False


class SameSteps(keras.callbacks.Callback):
    """Raises if the processes that train together have not the same number of batches."""

    def on_train_begin(self, logs: Any = None) -> None:
        steps = replicas().numbers(self.params.get("steps") or 0)
        if len(set(steps)) > 1:
            raise ValueError(
                "`x` must have as many batches in every process, which wait for one another in every step. Received: "
                f"{', '.join(map(str, steps))} batches"
            )
