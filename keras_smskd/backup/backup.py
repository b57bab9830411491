"""Backup: a run through stages that goes on after any end of its process."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_smskd.backup import variables
from keras_smskd.backup.checkpoint import Checkpoint
from keras_smskd.backup.description import differences
from keras_smskd.backup.memory import Memory
from keras_smskd.backup.plain import Arrays
from keras_smskd.backup.run import Run, StageRun
from keras_smskd.backup.run_directory import RunDirectory
from keras_smskd.history import StageRecord

RESUME = (True, False, "force")
MODELS, OPTIMIZER = "variable", "optimizer"


class Backup(Run):
    """A run that is kept in a directory, from which it goes on.

    Args:
        directory: The directory of the run.
        sequence: The compiled `SequentialDistiller`.
        description: What must be the same for a checkpoint to go on.
        resume: True to go on from a checkpoint, "force" even from one of another description, False to begin anew.
        verbose: Whether to say where the run goes on.
    """

    def __init__(self, directory: Any, sequence: Any, description: dict[str, Any], resume: Any, verbose: Any) -> None:
        super().__init__(description["seed"])
        self.directory = RunDirectory(directory)
        self.sequence = sequence
        self.description = description
        if resume not in RESUME:
            raise ValueError(f"`resume` must be one of {RESUME}. Received: resume={resume!r}")
        self.resume = resume
        self.verbose = verbose
        self._moment: Checkpoint | None = None

    def __enter__(self) -> "Backup":
        self._lock = self.directory.lock()
        try:
            checkpoint = Checkpoint.last_in(self.directory.checkpoints) if self.resume else None
            if checkpoint is None:
                self._begin()
            else:
                self._go_on(checkpoint)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self._lock.release()

    def _begin(self) -> None:
        self.seed = int(np.random.randint(2**31)) if self.seed is None else self.seed
        self.directory.write_config({**self.description, "seed": self.seed})

    def _go_on(self, checkpoint: Checkpoint) -> None:
        facts = checkpoint.facts
        different = differences(facts["description"], self.description)
        if different and self.resume != "force":
            raise ValueError(
                f"`backup_dir` {str(self.directory.path)!r} holds another run: {'; '.join(different)}. Give another "
                "directory, or `resume='force'` to go on nevertheless, or `resume=False` to begin anew."
            )
        self.goes_on = True
        self.seed, self.stage = facts["seed"], facts["stage"]
        self.records = [StageRecord(**record) for record in facts["records"]]
        self._restore_models(checkpoint)
        self._moment = checkpoint if self.stage < len(self.sequence.stages) else None
        if self.verbose:
            done = sum(len(record["epoch"]) for record in [*facts["records"], facts.get("begun", {"epoch": []})])
            print(f"Going on after epoch {done} of the run in {str(self.directory.path)!r}.")

    def _restore_models(self, checkpoint: Checkpoint) -> None:
        variables.restore(variables.of_models(self.sequence), checkpoint.arrays, MODELS)

    def begin_stage(self, name: str, distiller: Any, callbacks: Sequence[keras.callbacks.Callback]) -> "StageBackup":
        moment, self._moment = self._moment, None
        if moment is None:
            return StageBackup(StageRecord(name, [], {}), self, Memory(callbacks))
        self._restore_models(moment)
        variables.restore(variables.of_optimizer(distiller), moment.arrays, OPTIMIZER)
        return StageBackup(StageRecord(**moment.facts["begun"]), self, Memory(callbacks), moment)

    def end_stage(self, record: StageRecord) -> None:
        self.directory.write_stage(self.stage, record, self.sequence.student)
        super().end_stage(record)
        if self.stage == len(self.sequence.stages):
            self.directory.write_student(self.sequence.student)
            self.save(self.records, {})

    def save(self, records: Sequence[StageRecord], arrays: Arrays, **of_stage: Any) -> None:
        """Writes a checkpoint, with what belongs to the stage that has begun."""
        facts = {"description": self.description, "seed": self.seed, "stage": self.stage, **of_stage}
        facts["records"] = [dataclasses.asdict(record) for record in self.records]
        of_models = variables.values(variables.of_models(self.sequence), MODELS)
        Checkpoint(facts, {**of_models, **arrays}).write(self.directory.checkpoints)
        self.directory.write_history(records)


class StageBackup(StageRun):
    """Writes a checkpoint when a stage begins and at the end of every epoch.

    Args:
        record: What the stage has done before, in a process that ended.
        backup: The backup of the run.
        memory: What the stage's callbacks remember.
        moment: The checkpoint with which the stage goes on, if it does not begin.
    """

    def __init__(self, record: StageRecord, backup: Backup, memory: Memory, moment: Checkpoint | None = None) -> None:
        super().__init__(record)
        self.backup = backup
        self.memory = memory
        self.moment = moment

    def left(self, epochs: range) -> range:
        """None if a callback had ended the stage."""
        is_stopped = self.moment is not None and self.moment.facts["stopped"]
        return epochs[len(epochs) :] if is_stopped else super().left(epochs)

    def on_train_begin(self, logs: Any = None) -> None:
        moment, self.moment = self.moment, None
        if moment is None:
            self._save()
        else:
            self.memory.restore(moment.facts["callbacks"], moment.arrays)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        self._save()

    def _save(self) -> None:
        arrays = variables.values(variables.of_optimizer(self.model), OPTIMIZER)
        of_stage = {"begun": dataclasses.asdict(self.record), "callbacks": self.memory.encoded(arrays)}
        records = [*self.backup.records, self.record]
        self.backup.save(records, arrays, **of_stage, stopped=bool(self.model.stop_training))
