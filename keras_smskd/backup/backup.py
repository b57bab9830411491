"""Backup: a run through stages that goes on after any end of its process."""

from typing import Any

import numpy as np

from keras_smskd.backup.best import Best, described
from keras_smskd.backup.checkpoint import Checkpoint
from keras_smskd.backup.description import differences
from keras_smskd.backup.memory import Memory
from keras_smskd.backup.plain import Arrays
from keras_smskd.backup.run import Run
from keras_smskd.backup.run_directory import RunDirectory
from keras_smskd.backup.stage_run import StageRun
from keras_smskd.history import StageRecord
from keras_smskd.replicas import replicas


class Backup(Run):
    """A run that is kept in a directory, from which it goes on.

    Args:
        directory: The directory of the run.
        description: What must be the same for a checkpoint to go on.
        best: The log by whose best epoch the student is chosen, alone or with its mode; None for the last epoch.
        verbose: Whether to say where the run goes on.
        **run: The arguments of `Run`. `resume` is True to go on from a checkpoint, "force" even from one of another
            description, False to begin anew.
    """

    def __init__(self, directory: Any, description: dict[str, Any], best: Any, verbose: Any, **run: Any) -> None:
        super().__init__(**run)
        self.directory = RunDirectory(directory, self.sequence.student)
        self.description = description
        self.best = None if best is None else Best(best)
        self.verbose = verbose

    def __enter__(self) -> "Backup":
        self.directory.lock()
        try:
            checkpoint = Checkpoint.last_in(self.directory.checkpoints) if self.resume else None
            if checkpoint is not None:
                self._check(checkpoint)
                self.go_on(checkpoint)
                self._say(checkpoint)
            self._agree()
            if checkpoint is None:
                self.directory.clear()
            if not self.is_over:
                self.directory.write_config({**self.description, "seed": self.seed})
        except BaseException:
            self.directory.release()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self.directory.release()

    def _agree(self) -> None:
        """Waits until all processes have read where the run is, and gives them one seed."""
        done = replicas().numbers(self._epochs_done())
        if len(set(done)) > 1:
            raise ValueError(
                "`backup_dir` must be one directory that all processes share. Received: "
                f"{str(self.directory.path)!r}, in which they find {', '.join(map(str, done))} epochs"
            )
        seed = int(np.random.randint(2**31)) if self.seed is None else self.seed
        self.seed = replicas().numbers(seed)[0]

    def _epochs_done(self) -> int:
        begun = self.last.facts.get("begun", {"epoch": []})["epoch"] if self.last else []
        return sum(len(record.epoch) for record in self.records) + len(begun)

    def _check(self, checkpoint: Checkpoint) -> None:
        different = differences(checkpoint.facts["description"], self.description)
        if different and self.resume != "force":
            raise ValueError(
                f"`backup_dir` {str(self.directory.path)!r} holds another run: {'; '.join(different)}. Give another "
                "directory, or `resume='force'` to go on nevertheless, or `resume=False` to begin anew."
            )

    def _say(self, checkpoint: Checkpoint) -> None:
        if self.verbose:
            facts = checkpoint.facts
            of_next = f" and batch {facts['batch']} of the next one" if facts.get("batch") else ""
            run = f"run in {str(self.directory.path)!r}"
            if self.is_over:
                print(f"The {run} is over, after {self._epochs_done()} epochs: nothing is left to train.")
            else:
                print(f"Going on after epoch {self._epochs_done()}{of_next} of the {run}.")

    def end_epoch(self, record: StageRecord) -> None:
        if self.best is None:
            return
        records = [*self.records, record]
        self.best.check(records, _first(self.description["fit"].get("validation_freq", 1)))
        if self.best.is_last(records, self.sequence.stages[self.stage].distiller):
            self.directory.write_student(described(records, f"best {self.best.log}"))

    def end_stage(self, stage_run: StageRun) -> None:
        self.directory.write_stage(self.stage, stage_run.record)
        super().end_stage(stage_run)

    def end(self, memory: Memory) -> None:
        super().end(memory)
        if self.best is None:
            self.directory.write_student(described(self.records, "last"))
        arrays: Arrays = {}
        callbacks = memory.encoded(arrays)
        self.keep(self.checkpoint(arrays, callbacks=callbacks))

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keeps a checkpoint in the directory too."""
        super().keep(checkpoint)
        checkpoint.facts["description"] = self.description
        self.directory.write_checkpoint(checkpoint)
        begun = [StageRecord(**checkpoint.facts["begun"])] if "begun" in checkpoint.facts else []
        self.directory.write_history([*self.records, *begun])


def _first(validation_freq: int | list[int]) -> int:
    """How many epochs are done when the first validation is."""
    return validation_freq if isinstance(validation_freq, int) else min(validation_freq)
