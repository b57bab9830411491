"""The user's callbacks through a sequence of stages."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.base.weighted_terms import REFERENCE_TERMS
from keras_smskd.checks import check_callbacks

# Callbacks that remember the best value so far. It must not leak: the scale of the loss changes with the stage.
WITH_MEMORY = (keras.callbacks.ModelCheckpoint, keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau)


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
        self._notify("on_sequence_begin", self.sequence)
        return self

    def __exit__(self, *error: Any) -> None:
        self._notify("on_sequence_end")

    def for_stage(self, index: int, goes_on: bool = False) -> list[keras.callbacks.Callback]:
        """The callbacks of one stage: the run's, then the stage's own, all as new.

        Args:
            index: Which stage, from 0.
            goes_on: Whether an earlier process had begun the run.
        """
        own = self.sequence.stages[index].callbacks
        for callback in [*self.callbacks, *own]:
            _forget(callback)
        columns = [column for callback in self.callbacks for column in getattr(callback, "columns", ())]
        return [*(_wrapped(callback, goes_on or index > 0, columns) for callback in self.callbacks), *own]

    def end_stage(self, index: int) -> None:
        """Tells that a stage is over."""
        self._notify("on_stage_end", index)

    def _notify(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook, lambda *arguments: None)(*arguments)


class OneTable(keras.callbacks.Callback):
    """Lets a `CSVLogger` write one table for all stages: it goes on where the last stage stopped, with one header.

    Columns that only later stages have are there from the start, as "NA". An epoch that is trained again, because the
    process before ended in it, has one row.
    """

    def __init__(self, logger: keras.callbacks.CSVLogger, append: bool, columns: Sequence[str]) -> None:
        super().__init__()
        self.absent = dict.fromkeys([*REFERENCE_TERMS, "reference_weight", *columns], "NA")
        self.logger = logger
        self.append = append
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

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.logger.csv_file.truncate(self.size)
        self.logger.append_header = self.logger.append_header or not self.size

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logger.on_epoch_end(epoch, {**self.absent, **(logs or {})})
        self.size = self.logger.csv_file.tell()

    def on_train_end(self, logs: Any = None) -> None:
        self.logger.on_train_end(logs)


def _wrapped(callback: keras.callbacks.Callback, append: bool, columns: Sequence[str]) -> keras.callbacks.Callback:
    if isinstance(callback, keras.callbacks.CSVLogger):
        return OneTable(callback, append or callback.append, columns)
    return callback


def _forget(callback: keras.callbacks.Callback) -> None:
    """Puts a callback with a memory back to what it was when first seen, in this run or an earlier one."""
    if isinstance(callback, WITH_MEMORY):
        vars(callback).setdefault("_when_first_seen", dict(vars(callback)))
        vars(callback).update(vars(callback)["_when_first_seen"])
