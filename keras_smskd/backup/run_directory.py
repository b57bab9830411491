"""The directory of a run, as a colleague reads it."""

import csv
import functools
import io
import json
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_smskd.backup import files
from keras_smskd.backup.checkpoint import Checkpoint, all_in
from keras_smskd.history import StageRecord
from keras_smskd.replicas import replicas

WHOLE, WEIGHTS = "student.keras", "student.weights.h5"


def _by_first(method: Callable[..., None]) -> Callable[..., None]:
    """Leaves to the first of several processes what changes their directory."""

    @functools.wraps(method)
    def changed(*args: Any, **kwargs: Any) -> None:
        if replicas().is_first:
            method(*args, **kwargs)

    return changed


class RunDirectory:
    """What a run leaves: its configuration, its history, the student of every stage and that of the end.

    Of several processes that train together the first one writes, the others read.

    Args:
        path: The directory; it is made when something is written.
        student: The student. Of one that Keras cannot serialise the weights alone are written.
    """

    def __init__(self, path: Any, student: keras.Model) -> None:
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.student = student
        self.student_file = WHOLE if _can_be_serialised(student) else WEIGHTS

    @_by_first
    def lock(self) -> None:
        """Takes the directory for this process; see `files.lock`."""
        self._lock = files.lock(self.path, "backup_dir", "run")

    @_by_first
    def release(self) -> None:
        """Lets go of it."""
        self._lock.release()

    @_by_first
    def clear(self) -> None:
        """Removes what another run has left, its checkpoints last: without them nothing is known to be of a run."""
        checkpoints = all_in(self.checkpoints)
        if not checkpoints:
            return
        for stage in self.path.glob("stages/[0-9][0-9]_*"):
            shutil.rmtree(stage)
        of_run = [self.path / name for name in (WHOLE, WEIGHTS, "student.json", "history.csv")]
        for file in [*of_run, *checkpoints]:
            file.unlink(missing_ok=True)

    @_by_first
    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Writes all of the run at one moment."""
        checkpoint.write(self.checkpoints)

    @_by_first
    def write_config(self, description: dict[str, Any]) -> None:
        """Writes `config.json`: all that it takes to repeat the run, but for code and data."""
        files.write_text(self.path / "config.json", json.dumps(description, indent=1) + "\n")

    @_by_first
    def write_history(self, records: Sequence[StageRecord]) -> None:
        """Writes `history.csv`: a row an epoch, empty where a log was not measured, of the logs that are one number."""
        logs = list(dict.fromkeys(log for record in records for log in record.numbers))
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["epoch", "stage", *logs])
        for record in records:
            for index, epoch in enumerate(record.epoch):
                measured = record.measured(index)
                table.writerow([epoch + 1, record.name, *(measured.get(log, "") for log in logs)])
        files.write_text(self.path / "history.csv", text.getvalue())

    @_by_first
    def write_stage(self, index: int, record: StageRecord) -> None:
        """Writes the student as a stage left it, and what the stage's last epoch measured."""
        directory = self.path / "stages" / f"{index + 1:02}_{record.name}"
        self._write_student(directory, "metrics.json", {"epochs": len(record.epoch), **record.measured(-1)})

    @_by_first
    def write_student(self, described: dict[str, Any]) -> None:
        """Writes the student of the run, and which one it is."""
        self._write_student(self.path, "student.json", described)

    def _write_student(self, directory: pathlib.Path, name: str, described: dict[str, Any]) -> None:
        """Writes the student, and then what it is: the second is never ahead."""
        save = self.student.save if self.student_file == WHOLE else self.student.save_weights
        files.write(directory / self.student_file, save)
        described = {"file": self.student_file, **described}
        files.write_text(directory / name, json.dumps(described, indent=1) + "\n")


def _can_be_serialised(model: keras.Model) -> bool:
    try:
        json.dumps(keras.saving.serialize_keras_object(model))
    except Exception:
        return False
    return True
