"""A run through stages, and the record of what each of them did."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.history import StageRecord


class Run:
    """A run that ends with its process; a context.

    Args:
        seed: Seed of the order of samples and of all random numbers, or None.

    Attributes:
        stage: The stage that the run is in, from 0.
        records: What the stages before have done.
    """

    goes_on = False
    """Whether an earlier process had begun the run."""

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self.stage = 0
        self.records: list[StageRecord] = []

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: Any) -> None:
        """Ends the run."""

    def begin_stage(self, name: str, distiller: Any, callbacks: Sequence[keras.callbacks.Callback]) -> "StageRun":
        """What records a stage whose distiller is compiled and whose callbacks are as their user made them."""
        return StageRun(StageRecord(name, [], {}))

    def end_stage(self, record: StageRecord) -> None:
        """Goes on to the next stage."""
        self.records.append(record)
        self.stage += 1


class StageRun(keras.callbacks.Callback):
    """Records the epochs of a stage; the last of its callbacks.

    Args:
        record: What the stage has done before, in a process that ended.
    """

    def __init__(self, record: StageRecord) -> None:
        super().__init__()
        self.record = record

    def left(self, epochs: range) -> range:
        """Those of the epochs of the stage that it has still to do."""
        return epochs[len(self.record.epoch) :]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.record.epoch.append(epoch)
        for log, value in (logs or {}).items():
            self.record.history.setdefault(log, []).append(float(value))
