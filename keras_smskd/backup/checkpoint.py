"""Checkpoint: all of a run at one moment, in one file."""

import dataclasses
import json
import pathlib
import warnings
import zipfile
from typing import Any

import numpy as np

from keras_smskd.backup import files

FACTS = "facts"
FORMAT = 1
KEPT = 2
"""How many of the last checkpoints stay: should the disk spoil one, the one before is there."""


@dataclasses.dataclass
class Checkpoint:
    """A moment of a run.

    Attributes:
        facts: What JSON can hold: the plan, how far the run is, its history, what callbacks remember.
        arrays: The values of all variables, and arrays that callbacks remember.
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def write(self, directory: pathlib.Path) -> None:
        """Writes the checkpoint beside the last one, and takes away older ones."""
        numbers = [int(file.stem) for file in _all_in(directory)]
        files.write(directory / f"{max(numbers, default=0) + 1:08}.npz", self.write_to)
        for old in _all_in(directory)[:-KEPT]:
            old.unlink()

    def write_to(self, file: Any) -> None:
        """Writes the checkpoint to a file or a stream."""
        facts = np.frombuffer(json.dumps({"format": FORMAT, **self.facts}).encode(), "uint8")
        arrays: dict[str, Any] = {FACTS: facts, **self.arrays}
        np.savez(file, **arrays)

    @classmethod
    def read(cls, file: pathlib.Path) -> "Checkpoint":
        """Reads a checkpoint; the file holds sums that tell whether it is whole."""
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        facts = json.loads(arrays.pop(FACTS).tobytes().decode())
        if facts["format"] != FORMAT:
            raise ValueError(f"it is of format {facts['format']}, this package reads {FORMAT}")
        return cls(facts, arrays)

    @classmethod
    def last_in(cls, directory: pathlib.Path) -> "Checkpoint | None":
        """The last checkpoint that is whole, or None if there is none at all."""
        for file in reversed(_all_in(directory)):
            try:
                return cls.read(file)
            except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
                warnings.warn(f"The checkpoint {file} cannot be read ({error}); the one before is taken.", stacklevel=2)
        if _all_in(directory):
            raise ValueError(
                f"No checkpoint in {directory} can be read. Give another `backup_dir`, or `resume=False` to train from "
                "the beginning."
            )
        return None


def _all_in(directory: pathlib.Path) -> list[pathlib.Path]:
    return sorted(file for file in directory.glob("*.npz") if file.stem.isdigit())
