"""What models output for samples, each known by its content."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_smskd.cache.segments import FileSegment, MemorySegment, Rows

Segment = FileSegment | MemorySegment

# How far outputs for the same samples may be apart, relative to the largest: above rounding, below any other model.
TOLERANCE = 1e-3


class Table:
    """The outputs of some names by the digests of samples, in those segments that have them all, of the same models.

    Args:
        probe: What the models output for samples that never change, by the names that are wanted.
        segments: All segments there are; those of this table's own join them when they are needed.
        new: Makes such a segment, of a probe.
    """

    def __init__(self, probe: Rows, segments: list[Segment], new: Callable[[Rows], Segment]) -> None:
        self.names = list(probe)
        self.rows: dict[bytes, tuple[int, int]] = {}
        self._probe, self._all, self._new = probe, segments, new
        self._segments: list[Segment] = []
        self._own: list[int] = []
        self._verified: set[int] = set()
        self._left_out: set[int] = set()
        for segment in segments:
            if set(probe) <= set(segment.shapes) and all(_close(segment.probe[name], probe[name]) for name in probe):
                self._segments.append(segment)
                self._locate(len(self._segments) - 1, segment.digests, 0)

    def _locate(self, segment: int, digests: Sequence[bytes], start: int) -> None:
        self.rows.update({digest: (segment, row) for row, digest in enumerate(digests, start)})

    @property
    def nbytes(self) -> int:
        """The size of the outputs."""
        filled = [each for index, each in enumerate(self._segments) if each.digests and index not in self._left_out]
        return sum(segment.array(name).nbytes for segment in filled for name in self.names)

    def verify(self, digests: Sequence[bytes], compute: Callable[[], Rows]) -> None:
        """Leaves out the segments that know these samples otherwise than they are computed, each asked once.

        Args:
            digests: Those of the samples.
            compute: Computes the outputs for them.
        """
        while asked := {self.rows[digest][0] for digest in digests if digest in self.rows} - self._verified:
            rows = compute()
            self._verified |= asked
            self._left_out |= {index for index in asked if not self._agrees(index, digests, rows)}
            self.rows = {}
            for index, segment in enumerate(self._segments):
                if index not in self._left_out:
                    self._locate(index, segment.digests, 0)

    def _agrees(self, segment: int, digests: Sequence[bytes], rows: Rows) -> bool:
        located = [(*self.rows.get(digest, (-1, -1)), row) for row, digest in enumerate(digests)]
        there, here = map(list, zip(*[(of, row) for index, of, row in located if index == segment], strict=True))
        return all(_close(self._segments[segment].array(name)[there], rows[name][here]) for name in self.names)

    def append(self, digests: Sequence[bytes], rows: Rows) -> None:
        """Adds samples that are new."""
        index = self._own_of({name: array.shape[1:] for name, array in rows.items()})
        start = len(self._segments[index].digests)
        self._segments[index].append(digests, rows)
        self._locate(index, digests, start)

    def _own_of(self, shapes: dict[str, tuple[int, ...]]) -> int:
        """The segment of this table's own for outputs of these shapes."""
        for index in self._own:
            if self._segments[index].shapes == shapes:
                return index
        self._segments.append(self._new(self._probe))
        self._all.append(self._segments[-1])
        self._own.append(len(self._segments) - 1)
        self._verified.add(self._own[-1])
        return self._own[-1]

    def located(self, digests: Sequence[bytes]) -> np.ndarray:
        """The segment and the row of each of some samples that are known."""
        return np.array([self.rows[digest] for digest in digests], "int64")

    def take(self, located: np.ndarray) -> Rows:
        """The outputs at these places; no copy where they are all of a segment, in order."""
        segments, rows = located.T
        return {name: self._take(name, segments, rows) for name in self.names}

    def _take(self, name: str, segments: np.ndarray, rows: np.ndarray) -> np.ndarray:
        arrays = {index: self._segments[index].array(name) for index in np.unique(segments).tolist()}
        first = next(iter(arrays.values()))
        if len(arrays) == 1:
            whole = len(rows) == len(first) and bool((rows == np.arange(len(rows))).all())
            return first if whole else first[rows]
        taken = np.empty((len(rows), *first.shape[1:]), first.dtype)
        for index, array in arrays.items():
            taken[segments == index] = array[rows[segments == index]]
        return taken


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two outputs for the same samples are the same but for rounding."""
    scale = float(np.nanmax(np.abs(b), initial=0.0))
    return a.shape == b.shape and np.allclose(a, b, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True)
