"""The history of a run: one row of epochs that knows its stages."""

import dataclasses
import math

import keras


@dataclasses.dataclass(frozen=True)
class StageRecord:
    """What one stage did: its name, its epochs in the count of the run, and its logs."""

    name: str
    epoch: list[int]
    history: dict[str, list[float]]


class SequentialHistory(keras.callbacks.History):
    """A Keras `History` over all stages.

    Attributes:
        epoch: Epochs 0 to N - 1, continued over the stages.
        history: Dict of log name to N values; NaN where a stage does not compute it.
        stages: List of `StageRecord`s.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.stages: list[StageRecord] = []

    def append(self, stage: StageRecord) -> None:
        """Adds the record of one stage."""
        self.stages.append(stage)
        self.epoch = [epoch for stage in self.stages for epoch in stage.epoch]
        names = {log: None for stage in self.stages for log in stage.history}
        self.history = {log: [value for stage in self.stages for value in _values(stage, log)] for log in names}


def _values(stage: StageRecord, log: str) -> list[float]:
    return stage.history.get(log, [math.nan] * len(stage.epoch))
