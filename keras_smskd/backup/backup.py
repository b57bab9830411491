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
from keras_smskd.backup.run import Run
from keras_smskd.backup.run_directory import RunDirectory
from keras_smskd.backup.stage_backup import BatchBackup, StageBackup
from keras_smskd.history import StageRecord


class Backup(Run):
    """A run that is kept in a directory, from which it goes on.

    Args:
        directory: The directory of the run.
        sequence: The compiled `SequentialDistiller`.
        description: What must be the same for a checkpoint to go on.
        every: How many batches apart checkpoints are written within an epoch; None for none.
        resume: True to go on from a checkpoint, "force" even from one of another description, False to begin anew.
        verbose: Whether to say where the run goes on.
    """

    def __init__(
        self, directory: Any, sequence: Any, description: dict[str, Any], every: int | None, resume: Any, verbose: Any
    ) -> None:
        super().__init__(description["seed"])
        self.directory = RunDirectory(directory)
        self.sequence = sequence
        self.description = description
        self.every = every
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
            of_next = f" and batch {facts['batch']} of the next one" if facts.get("batch") else ""
            print(f"Going on after epoch {done}{of_next} of the run in {str(self.directory.path)!r}.")

    def _restore_models(self, checkpoint: Checkpoint) -> None:
        variables.restore(variables.of_models(self.sequence), checkpoint.arrays, variables.MODELS)

    def begin_stage(self, name: str, distiller: Any, callbacks: Sequence[keras.callbacks.Callback]) -> StageBackup:
        moment, self._moment = self._moment, None
        record = StageRecord(name, [], {})
        distiller.first_batch = 0
        if moment is not None:
            record = StageRecord(**moment.facts["begun"])
            distiller.first_batch = moment.facts["batch"]
            self._restore_models(moment)
            variables.restore(variables.of_optimizer(distiller), moment.arrays, variables.OPTIMIZER)
        memory = Memory(callbacks)
        if self.every is None:
            return StageBackup(record, self, memory, moment)
        return BatchBackup(record, self, memory, moment, self.every)

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
        of_models = variables.values(variables.of_models(self.sequence), variables.MODELS)
        Checkpoint(facts, {**of_models, **arrays}).write(self.directory.checkpoints)
        self.directory.write_history(records)
