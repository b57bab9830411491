"""The outputs of one frozen model for the samples of a data source."""

import functools
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_smskd.cache.segments import Rows
from keras_smskd.cache.table import Table

MANY_EPOCHS = 100
"""After how many epochs of samples, all of them new, a source without end may be one that changes them."""

_SAME = (
    "A source must give the same samples in every pass, since what the teacher knows of a sample is wrong for a "
    "changed one. In place of augmenting the data while it is read, choose `Cache(views=8, augment=...)`, a fixed "
    "number of augmented views of arrays, or augment the data before `fit`, or train without `cache`. Keep the last "
    "partial batch (`drop_remainder=False`, `drop_last=False`)."
)


class Outputs:
    """Named outputs of a frozen model for samples that are known by their content.

    Args:
        model: Outputs a dict of tensors for a batch.
        table: Where they are kept.
        dtype: What they are kept in.
    """

    def __init__(self, model: keras.Model, table: Table, dtype: str) -> None:
        self.model = model
        self.table = table
        self.dtype = dtype

    def fill(
        self,
        batches: Iterable[tuple[Any, list[bytes]]],
        enough: float,
        progress: Callable[[int], None],
        verify: bool = False,
    ) -> tuple[int, int]:
        """Computes what is not known yet, in batches of one size, so that the model is traced once.

        Args:
            batches: Inputs and the digests of the samples.
            enough: The number of batches behind which a batch that is known says that all are, in a source without end.
            progress: Is told the number of each batch that was computed.
            verify: Whether a batch is computed even if it is known, to leave out what is known otherwise; see `Table`.

        Returns:
            How many samples were known, and how many were not.
        """
        size, known, new = 0, 0, 0
        for number, (x, digests) in enumerate(batches, start=1):
            size = max(size, len(digests))
            if verify:
                self.table.verify(digests, functools.partial(self._computed, x, list(range(len(digests))), size))
            unknown = [row for row, digest in enumerate(digests) if digest not in self.table.rows]
            known, new = known + len(digests) - len(unknown), new + len(unknown)
            if unknown:
                self.table.append([digests[row] for row in unknown], self._computed(x, unknown, size))
                progress(number)
            elif number > enough:
                break
            if number == MANY_EPOCHS * enough and not known:
                warnings.warn(
                    f"`cache` has read {new:,} samples, none of them twice, and goes on. {_SAME}", stacklevel=2
                )
        return known, new

    def _computed(self, x: Any, rows: list[int], size: int) -> Rows:
        """The outputs for some rows of a batch."""
        filled = rows + rows[:1] * (size - len(rows))
        outputs = self.model.predict_on_batch(keras.tree.map_structure(lambda array: array[filled], x))
        arrays = {name: keras.ops.convert_to_numpy(output)[: len(rows)] for name, output in outputs.items()}
        for name, array in arrays.items():
            largest, limit = np.abs(array).max(), np.finfo(self.dtype).max
            if largest > limit:
                raise ValueError(
                    f"`cache` of dtype='{self.dtype}' holds numbers up to {limit:g}. Received: {largest:g} in "
                    f"'{name}'. Use dtype='float32'."
                )
        return {name: array.astype(self.dtype) for name, array in arrays.items()}

    def located(self, digests: Sequence[bytes]) -> np.ndarray:
        """Where the outputs for samples are, all of them known."""
        unknown = sum(digest not in self.table.rows for digest in digests)
        if unknown:
            raise ValueError(
                "`cache` knows the samples of the source as they were when it was filled. Received: "
                f"{unknown} of {len(digests)} samples that it never saw. {_SAME}"
            )
        return self.table.located(digests)
