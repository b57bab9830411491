"""What models output for samples, each known by its content."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_smskd.cache.segments import FileSegment, MemorySegment, Rows

Segment = FileSegment | MemorySegment


class Table:
    """The outputs of some names by the digests of samples, in those segments that have them all.

    Args:
        names: Names of the outputs.
        segments: All segments there are; one of this table's own joins them when it is needed.
        new: Makes such a segment.

    Attributes:
        inherited: Whether some of it is of another process, and not compared yet with what the models output now.
    """

    def __init__(self, names: Sequence[str], segments: list[Segment], new: Callable[[], Segment]) -> None:
        self.names = list(names)
        self.rows: dict[bytes, int] = {}
        self._all, self._new = segments, new
        self._own: Segment | None = None
        self.inherited = any(segment.inherited for segment in segments)
        self._segments = [segment for segment in segments if set(names) <= set(segment.names)]
        start = 0
        for segment in self._segments:
            self.rows.update({digest: row for row, digest in enumerate(segment.digests, start)})
            start += len(segment.digests)

    @property
    def size(self) -> int:
        """The number of rows."""
        return sum(len(segment.digests) for segment in self._segments)

    @property
    def nbytes(self) -> int:
        """The size of the outputs."""
        return sum(segment.array(name).nbytes for segment in self._segments for name in self.names)

    def append(self, digests: Sequence[bytes], rows: Rows) -> None:
        """Adds samples that are new."""
        size = self.size
        if self._own is None:
            self._own = self._new()
            for segments in (self._all, self._segments):
                segments.append(self._own)
        self._own.append(digests, rows)
        self.rows.update({digest: row for row, digest in enumerate(digests, size)})

    def take(self, digests: Sequence[bytes]) -> Rows:
        """The outputs for samples that are known; no copy where they are all that is there, in order."""
        rows = np.array([self.rows[digest] for digest in digests])
        return {name: self._take(name, rows) for name in self.names}

    def _take(self, name: str, rows: np.ndarray) -> np.ndarray:
        arrays = [segment.array(name) for segment in self._segments]
        if len(arrays) == 1:
            whole = len(rows) == len(arrays[0]) and bool((rows == np.arange(len(rows))).all())
            return arrays[0] if whole else arrays[0][rows]
        taken = np.empty((len(rows), *arrays[0].shape[1:]), arrays[0].dtype)
        start = 0
        for array in arrays:
            here = (start <= rows) & (rows < start + len(array))
            taken[here] = array[rows[here] - start]
            start += len(array)
        return taken
