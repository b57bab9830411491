"""Training that is divided among replicas."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_smskd.arrays import are_arrays, number_of_batches, number_of_samples
from keras_smskd.base.tapped_model import TappedModel
from keras_smskd.replicas import replicas

Tensor = Any


class Replicated(TappedModel):
    """A model that several processes train as one."""

    gather = False
    """Whether the distillation loss is that of the whole batch; see `Distiller.compile`."""

    _together = False
    """Whether logs are those of all processes."""

    @property
    def parts(self) -> int:
        """How many parts of a batch, as this replica has one, the distillation loss sees."""
        return replicas().count if self.gather else 1

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        if replicas().count == 1:
            return super().train_step(*args, **kwargs)
        with replicas().averaging(self.optimizer):
            logs = super().train_step(*args, **kwargs)
        trained = {id(variable) for variable in self.trainable_variables}
        moved = [variable for variable in self.own_variables if id(variable) not in trained]
        replicas().align([variable for variable in moved if variable.aggregation in ("none", "mean")])
        return logs

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """A process's own: not all have as many batches to evaluate."""
        with self._logging(together=False):
            return super().test_step(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """The student's metrics, those of all processes where `fit` asks for them, else a process's own."""
        of_fit = isinstance(kwargs.get("callbacks"), keras.callbacks.CallbackList)  # Others give a list.
        with self._logging(together=self._together and of_fit), self.in_mode("test"):
            return super().evaluate(*args, **kwargs)

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
        with self._logging(together=True):
            yield

    @contextmanager
    def _logging(self, together: bool) -> Iterator[None]:
        before, self._together = self._together, together
        try:
            yield
        finally:
            self._together = before


class SameSteps(keras.callbacks.Callback):
    """Raises if processes that wait for one another have not the same number of batches and, of arrays, of samples.

    Args:
        x: The data that they train on.
        validation_data: Those that they evaluate, as in `fit`.
        validation_steps: Batches of them, if not all.
    """

    def __init__(self, x: Any, validation_data: Any = None, validation_steps: int | None = None) -> None:
        super().__init__()
        self.numbers = {("x", "samples"): number_of_samples(x)}
        if replicas().evaluate_together:
            validated = keras.utils.unpack_x_y_sample_weight(validation_data)[0]
            self.numbers["validation_data", "samples"] = number_of_samples(validated)
            batches = 0 if are_arrays(validated) else number_of_batches(validated)
            self.numbers["validation_data", "batches"] = validation_steps or batches

    def on_train_begin(self, logs: Any = None) -> None:
        for (name, what), number in {("x", "batches"): self.params.get("steps") or 0, **self.numbers}.items():
            numbers = replicas().numbers(number)
            if len(set(numbers)) > 1:
                raise ValueError(
                    f"`{name}` must have as many {what} in every process, which wait for one another in every step and "
                    f"count alike. Received: {', '.join(map(str, numbers))} {what}"
                )
