"""Data that no training sees, batch by batch and in one order."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras

from keras_smskd import checks, label_checks
from keras_smskd.arrays import WITH_SAMPLES, arrays_of, batches_of, can_be_read_again, check_samples, in_numpy
from keras_smskd.base.batch import Batch
from keras_smskd.base.fit_checks import check_data, check_finite
from keras_smskd.ordered import OrderedArrays


class HeldOut:
    """Held-out data, read anew as often as one likes.

    Args:
        data: `(x, y)` or `(x, y, sample_weight)`, or a source of such batches that ends and can be read again.
        batch_size: Samples of a batch, if `data` are arrays.

    Raises:
        TypeError: If `data` is none of them.
        ValueError: If the arrays differ in samples, or the source can be read only once.
    """

    def __init__(self, data: Any, batch_size: int) -> None:
        self.batch_size = checks.check_count("batch_size", batch_size)
        self.arrays: dict[str, Any] | None = None
        self.source = data
        if isinstance(data, list | tuple):
            self.arrays = _checked(data)
            self.source = OrderedArrays(self.arrays, batch_size, shuffle=False)
        elif (
            isinstance(data, str | dict)
            or hasattr(data, "shape")
            or not isinstance(data, Iterable | keras.utils.PyDataset)
        ):
            raise TypeError(
                "`data` must be (x, y), (x, y, sample_weight) or a source of batches. "
                f"Received: data of type {type(data)}"
            )
        elif not can_be_read_again(data):
            raise ValueError(
                "`data` is read at the end of every stage. Received: a generator or a `PyDataset` of unknown length, "
                "which can be read only once. Give arrays, a `PyDataset`, a `tf.data.Dataset` or a `DataLoader`."
            )

    def check(self, needs_index: bool, distillers: Iterable[Any]) -> None:
        """Raises unless arrays fit the student, its classes and what the methods take in a batch."""
        if self.arrays is None:
            return
        y, size = self.arrays.get("y"), min(self.source.samples, self.batch_size)
        for distiller in distillers:
            inputs = Batch.of(self.arrays["x"], needs_index).inputs
            check_data(inputs, y, self.arrays.get("sample_weight"), distiller.student)
            check_finite(inputs)
            label_checks.check_array(y, distiller.classes)
            checks.check_batch_size(size, distiller.smallest_batch, distiller.largest_batch, distiller.method)

    def batches(self) -> Iterator[tuple[Any, Any, Any]]:
        """The batches as `(x, y, sample_weight)` in NumPy."""
        for batch in batches_of(self.source):
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
            yield in_numpy(x), *(None if each is None else in_numpy(each) for each in (y, sample_weight))


def _checked(data: Any) -> dict[str, Any]:
    """The arrays by name."""
    named = dict(zip(WITH_SAMPLES, data, strict=False))
    if not 1 <= len(data) <= len(WITH_SAMPLES) or named["x"] is None:
        raise ValueError(
            f"`data` must be (x, y), (x, y, sample_weight) or a source of batches. Received: {len(data)} parts"
        )
    for name, array in named.items():
        if not all(each is None or hasattr(each, "shape") for each in keras.tree.flatten(array)):
            raise TypeError(f"`data` must hold arrays. Received: {name} of type {type(array)}")
    check_samples({f"data[{index}]": array for index, array in enumerate(data)})
    return arrays_of(named)
