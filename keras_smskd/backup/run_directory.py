"""The directory of a run, as a colleague reads it."""

import csv
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import filelock
import keras

from keras_smskd.backup import files
from keras_smskd.history import StageRecord


class RunDirectory:
    """What a run leaves: its configuration, its history, the student of every stage and that of the end.

    Args:
        path: The directory; it is made when something is written.
    """

    def __init__(self, path: Any) -> None:
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"

    def lock(self) -> filelock.BaseFileLock:
        """Takes the directory for this process; the system lets go of it however the process ends."""
        lock = filelock.FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except filelock.Timeout:
            raise RuntimeError(
                f"Another run is writing to `backup_dir` {str(self.path)!r}. Wait for its end, or give each run a "
                "directory of its own."
            ) from None
        except OSError as error:
            raise OSError(error.errno, f"`backup_dir` cannot be used ({error.strerror})", str(self.path)) from error
        return lock

    def write_config(self, description: dict[str, Any]) -> None:
        """Writes `config.json`: all that it takes to repeat the run, but for code and data."""
        files.write_text(self.path / "config.json", json.dumps(description, indent=1) + "\n")

    def write_history(self, records: Sequence[StageRecord]) -> None:
        """Writes `history.csv`: a row an epoch."""
        logs = list(dict.fromkeys(log for record in records for log in record.history))
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["epoch", "stage", *logs])
        for record in records:
            for index, epoch in enumerate(record.epoch):
                values = [record.history.get(log, []) for log in logs]
                row = [column[index] if index < len(column) else "" for column in values]
                table.writerow([epoch + 1, record.name, *row])
        files.write_text(self.path / "history.csv", text.getvalue())

    def write_stage(self, index: int, record: StageRecord, student: keras.Model) -> None:
        """Writes the student as a stage left it, and what the stage's last epoch measured."""
        directory = self.path / "stages" / f"{index + 1:02}_{record.name}"
        last = {log: values[-1] for log, values in record.history.items() if values}
        files.write_text(directory / "metrics.json", json.dumps({"epochs": len(record.epoch), **last}, indent=1))
        self._write_student(directory, student)

    def write_student(self, student: keras.Model, described: dict[str, Any]) -> None:
        """Writes the student of the run, and which one it is."""
        files.write_text(self.path / "student.json", json.dumps(described, indent=1) + "\n")
        self._write_student(self.path, student)

    def _write_student(self, directory: pathlib.Path, student: keras.Model) -> None:
        part = directory / ".part.keras"
        student.save(part)
        part.replace(directory / "student.keras")
