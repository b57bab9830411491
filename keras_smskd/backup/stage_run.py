"""The course of a stage: a checkpoint when it begins, at the end of every epoch, and within epochs."""

import dataclasses
from typing import Any

import keras

from keras_smskd.backup import variables
from keras_smskd.backup.checkpoint import Checkpoint
from keras_smskd.backup.memory import Memory
from keras_smskd.base.repeatable import seed_all
from keras_smskd.history import StageRecord


class StageRun(keras.callbacks.Callback):
    """Records the epochs of a stage, and makes checkpoints of them; the last of its callbacks.

    Args:
        record: What the stage has done before.
        run: The `Run`.
        memory: What the stage's callbacks remember.
        moment: The checkpoint with which the stage goes on, if it does not begin.
    """

    def __init__(self, record: StageRecord, run: Any, memory: Memory, moment: Checkpoint | None) -> None:
        super().__init__()
        self.record = record
        self.run = run
        self.memory = memory
        self.moment = moment

    def left(self, epochs: range) -> range:
        """Those of the epochs of the stage that it has still to do; none if a callback had ended it."""
        is_stopped = self.moment is not None and self.moment.facts["stopped"]
        return epochs[len(epochs) if is_stopped else len(self.record.epoch) :]

    def on_train_begin(self, logs: Any = None) -> None:
        if self.moment is None:
            self._keep()
        else:
            self.memory.restore(self.moment.facts["callbacks"], self.moment.arrays)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.moment = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.record.add(epoch, logs or {})
        self.run.end_epoch(self.record)
        self._keep()

    def _keep(self, batch: int = 0) -> None:
        model = self.model
        arrays = variables.values(variables.of_optimizer(model), variables.OPTIMIZER)
        if batch:
            arrays |= variables.values(variables.of_metrics(model), variables.METRICS)
        of_stage = {"begun": dataclasses.asdict(self.record), "callbacks": self.memory.encoded(arrays)}
        self.run.keep(self.run.checkpoint(arrays, **of_stage, batch=batch, stopped=bool(model.stop_training)))


class BatchwiseRun(StageRun):
    """Makes checkpoints within epochs too, and seeds all random numbers anew after each of them.

    Args:
        *args: Those of `StageRun`.
        every: How many batches apart; None for none.
    """

    def __init__(self, *args: Any) -> None:
        *of_stage, self.every = args
        super().__init__(*of_stage)
        self.epoch = self.first = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch, self.first = epoch, self.moment.facts["batch"] if self.moment is not None else 0
        if self.first:
            self._restore_within_epoch()
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Seeds here, where a run that goes on has drawn all that it draws to begin."""
        done = self.first + batch
        if done and (not batch or self._is_due(done)):
            seed_all(self.run.seed, self.epoch, done)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        done = self.first + batch + 1
        if self._is_due(done) and done < self.params["steps"]:
            self._keep(done)

    def _is_due(self, done: int) -> bool:
        return self.every is not None and done % self.every == 0

    def _restore_within_epoch(self) -> None:
        """Brings back what the beginning of the epoch has set anew: counters, metrics, callbacks."""
        moment: Any = self.moment
        self.run.restore_models(moment)
        variables.restore(variables.of_metrics(self.model), moment.arrays, variables.METRICS)
        self.memory.restore(moment.facts["callbacks"], moment.arrays)
