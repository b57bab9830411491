"""The history of a run: one row of epochs that knows its stages."""

import dataclasses
import math
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class StageRecord:
    """What one stage did.

    Attributes:
        name: Its name.
        epoch: Its epochs in the count of the run.
        history: Its logs, each with a value an epoch: a number, NaN where it was not measured, a list where it is
            more than one number, or a string that a callback has put there.
    """

    name: str
    epoch: list[int]
    history: dict[str, list[Any]]

    def add(self, epoch: int, logs: dict[str, Any]) -> None:
        """Adds an epoch."""
        for log in [*self.history, *(log for log in logs if log not in self.history)]:
            self.history.setdefault(log, [math.nan] * len(self.epoch)).append(_plain(logs.get(log, math.nan)))
        self.epoch.append(epoch)

    def measured(self, index: int) -> dict[str, Any]:
        """What one of the epochs has measured."""
        logs = {log: values[index] for log, values in self.history.items() if values}
        return {log: value for log, value in logs.items() if not isinstance(value, float) or not math.isnan(value)}

    @property
    def numbers(self) -> dict[str, list[float]]:
        """The logs that are one number."""
        others = {log for log, values in self.history.items() for value in values if not isinstance(value, float)}
        return {log: values for log, values in self.history.items() if log not in others}


class SequentialHistory(keras.callbacks.History):
    """A Keras `History` over all stages.

    Attributes:
        epoch: Epochs 0 to N - 1, continued over the stages.
        history: Dict of log name to N values; NaN where a stage does not compute it, or an epoch did not.
        stages: List of `StageRecord`s.
        forgetting: The matrix of a `ForgettingReport` among the callbacks, otherwise None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.stages: list[StageRecord] = []
        self.forgetting: np.ndarray | None = None

    def append(self, stage: StageRecord) -> None:
        """Adds the record of one stage."""
        self.stages.append(stage)
        self.epoch = [epoch for stage in self.stages for epoch in stage.epoch]
        names = {log: None for stage in self.stages for log in stage.history}
        self.history = {log: [value for stage in self.stages for value in _values(stage, log)] for log in names}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else np.asarray(keras.ops.convert_to_numpy(value), "float64").tolist()


def _values(stage: StageRecord, log: str) -> list[Any]:
    return stage.history.get(log, [math.nan] * len(stage.epoch))
