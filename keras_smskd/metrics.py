"""Metrics that the training step keeps and Keras does not have."""

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any


class Histogram(keras.metrics.Metric):
    """Counts values between 0 and 1 in bins of equal width, inside the compiled step; it is no part of the logs.

    Args:
        bins: Number of bins. A value outside 0 to 1 counts in the nearest bin.
        name: Name of the metric.

    Example:

    >>> histogram = Histogram(bins=4)
    >>> histogram.update_state(keras.ops.array([0.1, 0.2, 0.9, 1.0]))
    >>> histogram.table().tolist()
    [[0.0, 0.25, 2.0], [0.25, 0.5, 0.0], [0.5, 0.75, 0.0], [0.75, 1.0, 2.0]]
    """

    def __init__(self, bins: int = 20, name: str = "histogram") -> None:
        super().__init__(name=name)
        self.bins = bins
        self.counts = self.add_variable(shape=(bins,), initializer="zeros", name="counts")

    def update_state(self, values: Tensor, sample_weight: Tensor = None) -> None:
        bin_of_value = ops.clip(ops.cast(ops.floor(values * self.bins), "int32"), 0, self.bins - 1)
        self.counts.assign_add(ops.sum(ops.one_hot(bin_of_value, self.bins, dtype=self.counts.dtype), axis=0))

    def result(self) -> dict[str, Tensor]:
        return {}

    def table(self) -> np.ndarray:
        """Rows of left edge, right edge and count."""
        edges = np.linspace(0.0, 1.0, self.bins + 1)
        return np.stack([edges[:-1], edges[1:], ops.convert_to_numpy(self.counts)], axis=1)


class Count(keras.metrics.Sum):
    """A sum whose result stays when a validation begins it anew: on PyTorch that of Keras is the variable itself."""

    def result(self) -> Tensor:
        return ops.copy(super().result())
