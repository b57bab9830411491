"""Outputs of models for samples in the order in which they were computed, in memory or on disk."""

import json
import pathlib
import uuid
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_smskd.cache.digests import SIZE

Rows = dict[str, np.ndarray]


class MemorySegment:
    """Outputs in memory.

    Args:
        probe: The outputs of the models for samples that never change: what tells them from other models.
    """

    def __init__(self, probe: Rows) -> None:
        self.probe = probe
        self.digests: list[bytes] = []
        self._chunks: list[Rows] = []

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the outputs for a sample, by name."""
        return {name: array.shape[1:] for name, array in self._chunks[0].items()} if self._chunks else {}

    def append(self, digests: Iterable[bytes], rows: Rows) -> None:
        """Adds samples."""
        self._chunks.append(rows)
        self.digests.extend(digests)

    def array(self, name: str) -> np.ndarray:
        """The outputs of that name for all samples."""
        if len(self._chunks) > 1:
            names = list(self._chunks[0])
            self._chunks = [{name: np.concatenate([chunk.pop(name) for chunk in self._chunks]) for name in names}]
        return self._chunks[0][name]


class FileSegment:
    """Outputs in files to which one process appends. It is valid up to the last whole sample, wherever it was killed.

    Args:
        directory: Where the files are.
        dtype: What they are kept in.
        probe: As of a `MemorySegment`; None for a segment that is there.
    """

    def __init__(self, directory: pathlib.Path, dtype: str, probe: Rows | None = None) -> None:
        self.directory = directory
        self.dtype = dtype
        self.digests: list[bytes] = []
        self._columns: dict[str, Any] = {}
        if probe is None:
            probe = dict(np.load(directory / "probe.npz"))
            self._columns = json.loads((directory / "columns.json").read_text())
            self.digests = self._read_digests()
        self.probe = probe

    @classmethod
    def new(cls, parent: pathlib.Path, dtype: str, probe: Rows) -> "FileSegment":
        """One that nobody else writes to."""
        return cls(parent / uuid.uuid4().hex, dtype, probe)

    @classmethod
    def all_in(cls, parent: pathlib.Path, dtype: str) -> list["FileSegment"]:
        """Those of all processes."""
        return [cls(path.parent, dtype) for path in sorted(parent.glob("*/columns.json"))]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the outputs for a sample, by name."""
        return {name: tuple(column["shape"]) for name, column in self._columns.items()}

    def append(self, digests: Iterable[bytes], rows: Rows) -> None:
        """Adds samples; their digests last, which make them count."""
        digests = list(digests)
        try:
            if not self._columns:
                self._create(rows)
            for name, array in rows.items():
                self._write(self._columns[name]["file"], np.ascontiguousarray(array).data)
            self._write("digests.bin", b"".join(digests))
        except OSError as error:
            raise OSError(
                f"`cache` could not be written to '{self.directory}': {error.strerror}. What it holds so far stays "
                "good: make room and start again, or give another directory."
            ) from error
        self.digests.extend(digests)

    def array(self, name: str) -> np.ndarray:
        """The outputs of that name for all samples, mapped into memory."""
        column = self._columns[name]
        shape = (len(self.digests), *column["shape"])
        return np.memmap(self.directory / column["file"], self.dtype, mode="r", shape=shape)

    def _create(self, rows: Rows) -> None:
        columns = {name: {"file": f"{i}.bin", "shape": rows[name].shape[1:]} for i, name in enumerate(rows)}
        self.directory.mkdir(parents=True, exist_ok=True)
        probe: dict[str, Any] = self.probe
        np.savez(self.directory / "probe.npz", **probe)
        (self.directory / "columns.new").write_text(json.dumps(columns))
        (self.directory / "columns.new").replace(self.directory / "columns.json")
        self._columns = columns

    def _write(self, file: str, data: Any) -> None:
        with (self.directory / file).open("ab") as stream:
            stream.write(data)

    def _read_digests(self) -> list[bytes]:
        data = (self.directory / "digests.bin").read_bytes() if (self.directory / "digests.bin").exists() else b""
        count = len(data) // SIZE
        for column in self._columns.values():
            size = int(np.prod(column["shape"], dtype=int)) * np.dtype(self.dtype).itemsize
            path = self.directory / column["file"]
            count = min(count, path.stat().st_size // size if path.exists() else 0)
        return [data[SIZE * row : SIZE * (row + 1)] for row in range(count)]
