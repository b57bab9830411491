"""What the histograms of an epoch's training held, though validation resets all metrics before the epoch ends."""

from typing import Any

import keras
import numpy as np

HISTOGRAMS = ("tcp", "sample_reference_weight")


class EpochHistograms(keras.callbacks.Callback):
    """Base of callbacks that read the distiller's histograms at the end of an epoch, as `histograms`.

    `histograms` maps `"tcp"` and `"sample_reference_weight"` to rows of left edge, right edge and count. It is empty
    in a stage without a reference.
    """

    def __init__(self) -> None:
        super().__init__()
        self.histograms: dict[str, np.ndarray] = {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.histograms = {}

    def on_test_begin(self, logs: Any = None) -> None:
        self._read()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._read()

    def _read(self) -> None:
        model = self.model
        if not self.histograms and getattr(model, "reference", None) is not None:
            self.histograms = {name: getattr(model, name).table() for name in HISTOGRAMS}
