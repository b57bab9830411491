"""Checkpoint: all of a run at one moment, in one file."""

import dataclasses
import json
import pathlib
import warnings
from typing import Any

import numpy as np

from keras_smskd.backup import files

FACTS = "facts"
FORMAT = 2
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
        numbers = [int(file.stem) for file in all_in(directory)]
        files.write(directory / f"{max(numbers, default=0) + 1:08}.npz", self.write_to)
        for old in all_in(directory)[:-KEPT]:
            old.unlink()

    def write_to(self, file: pathlib.Path) -> None:
        """Writes the checkpoint to a file."""
        facts = {"format": FORMAT, "arrays": len(self.arrays), **self.facts}
        arrays: dict[str, Any] = {FACTS: np.frombuffer(json.dumps(facts).encode(), "uint8"), **self.arrays}
        with file.open("wb") as stream:
            np.savez(stream, **arrays)

    @classmethod
    def read(cls, file: pathlib.Path) -> "Checkpoint":
        """Reads a checkpoint; the file holds sums that tell whether it is whole."""
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        facts = json.loads(arrays.pop(FACTS).tobytes().decode())
        if facts.pop("format") != FORMAT:
            raise ValueError(f"it is of another format than {FORMAT}, which this package reads")
        if facts.pop("arrays") != len(arrays):
            raise ValueError(f"arrays are missing: it holds {len(arrays)}")
        return cls(facts, arrays)

    @classmethod
    def last_in(cls, directory: pathlib.Path) -> "Checkpoint | None":
        """The last checkpoint that is whole, or None if there is none at all."""
        for file in reversed(all_in(directory)):
            try:
                return cls.read(file)
            except Exception as error:  # Of a spoiled archive there is hardly one that it cannot raise.
                warnings.warn(
                    f"The checkpoint {file} cannot be read ({error}); one before it is taken, if there is any.",
                    stacklevel=2,
                )
        if all_in(directory):
            raise ValueError(
                f"No checkpoint in {directory} can be read. Give another `backup_dir`, or `resume=False` to train from "
                "the beginning."
            )
        return None


def all_in(directory: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in a directory, the last one last."""
    return sorted(file for file in directory.glob("*.npz") if file.stem.isdigit())
