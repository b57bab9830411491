"""The user's callbacks through a sequence of stages."""

import csv
from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.base.weighted_terms import REFERENCE_TERMS
from keras_smskd.checks import check_callbacks

WITH_MEMORY = (keras.callbacks.ModelCheckpoint, keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau)
MEMORY = ("best", "wait", "cooldown_counter", "epochs_since_last_save", "_batches_seen_since_last_saving")
"""What they remember and Keras does not begin anew. It must not leak: the scale of the loss changes with the stage."""


class AcrossStages:
    """Hands the same callbacks to every stage, each starting anew; a context for the whole run.

    A callback of the run with a method `on_sequence_begin(sequence)`, `on_stage_end(index)` or `on_sequence_end()`
    learns where the run starts, where a stage is over for good (best weights restored), and where the run ends.
    `columns` of a callback are the names of all logs that it adds in some stage, for a table that has them from the
    start.

    Args:
        callbacks: A callback, a list of callbacks, or None.
        sequence: The `SequentialDistiller` that trains.
    """

    def __init__(self, callbacks: Any, sequence: Any) -> None:
        if isinstance(callbacks, keras.callbacks.CallbackList):
            raise TypeError("`callbacks` must be a list of callbacks. Received: a `CallbackList`.")
        self.callbacks = check_callbacks(callbacks)
        self.sequence = sequence

    def __enter__(self) -> "AcrossStages":
        begun: list[keras.callbacks.Callback] = []
        try:
            for callback in self.callbacks:
                _notify([callback], "on_sequence_begin", self.sequence)
                begun.append(callback)
        except BaseException:
            _notify(begun, "on_sequence_end")
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        _notify(self.callbacks, "on_sequence_end")

    def for_stage(self, index: int, goes_on: bool = False, is_begun: bool = False) -> list[keras.callbacks.Callback]:
        """The callbacks of one stage, all as new: the run's, the stage's own, and behind them those that write tables.

        Args:
            index: Which stage, from 0.
            goes_on: Whether an earlier process had begun the run.
            is_begun: Whether an earlier process had begun the stage.
        """
        of_run, of_stage = (_apart(callbacks) for callbacks in (self.callbacks, self.sequence.stages[index].callbacks))
        for callback in (*of_run[0], *of_stage[0]):
            _forget(callback)
        everywhere = [*self.callbacks, *(callback for stage in self.sequence.stages for callback in stage.callbacks)]
        columns = [column for callback in everywhere for column in getattr(callback, "columns", ())]
        absent = dict.fromkeys([*REFERENCE_TERMS, "reference_weight", *columns], "NA")
        tables = [OneTable(logger, goes_on or index > 0, absent) for logger in of_run[1]]
        return [*of_run[0], *of_stage[0], *tables, *(OneTable(logger, is_begun, {}) for logger in of_stage[1])]

    def end_stage(self, index: int) -> None:
        """Tells that a stage is over."""
        _notify(self.callbacks, "on_stage_end", index)


class OneTable(keras.callbacks.Callback):
    """Lets a `CSVLogger` write one table for all stages: it goes on where the last stage stopped, with one header.

    An epoch that is trained again, because the process before ended in it, has one row.

    Args:
        logger: The logger.
        append: Whether the table has been begun.
        absent: What columns have that are there from the start, though only later stages measure them.
    """

    def __init__(self, logger: keras.callbacks.CSVLogger, append: bool, absent: dict[str, Any]) -> None:
        super().__init__()
        self.absent = absent
        self.logger = logger
        self.append = append or logger.append
        self.size: int | None = None

    def set_model(self, model: keras.Model) -> None:
        self.logger.set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        of_user = self.logger.append
        self.logger.append = self.append
        if not self.append:
            self.logger.keys, self.logger.append_header = None, True
        self.logger.on_train_begin(logs)
        self.logger.append = of_user
        self.size = self.logger.csv_file.tell()
        if columns := self._columns():
            self.logger.keys = columns

    def _columns(self) -> list[str]:
        """Those of the table that was begun, but for the epoch."""
        with open(self.logger.filename, newline="") as file:
            return next(csv.reader(file, delimiter=self.logger.sep), [])[1:]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.logger.csv_file.truncate(self.size)
        self.logger.append_header = self.logger.append_header or not self.size

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logger.on_epoch_end(epoch, {**self.absent, **(logs or {})})
        self.size = self.logger.csv_file.tell()

    def on_train_end(self, logs: Any = None) -> None:
        self.logger.on_train_end(logs)


def _notify(callbacks: Sequence[keras.callbacks.Callback], hook: str, *arguments: Any) -> None:
    for callback in callbacks:
        getattr(callback, hook, lambda *arguments: None)(*arguments)


def _apart(callbacks: Sequence[keras.callbacks.Callback]) -> tuple[list[Any], list[Any]]:
    """The callbacks that write no table, and those that do."""
    tables = [callback for callback in callbacks if isinstance(callback, keras.callbacks.CSVLogger)]
    return [callback for callback in callbacks if callback not in tables], tables


def _forget(callback: keras.callbacks.Callback) -> None:
    """Gives a callback back the memory that it had when first seen, in this run or an earlier one."""
    if isinstance(callback, WITH_MEMORY):
        memory = {name: value for name, value in vars(callback).items() if name in MEMORY}
        vars(callback).update(vars(callback).setdefault("_when_first_seen", memory))
