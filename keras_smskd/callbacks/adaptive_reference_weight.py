"""Adjusts how strongly the reference holds the student, epoch by epoch."""

import math
from typing import Any

import numpy as np

from keras_smskd.callbacks.epoch_histograms import EpochHistograms
from keras_smskd.checks import check_choice, check_fraction, check_weight

SCHEDULES = ("adaptive", "constant", "linear", "cosine")


class AdaptiveReferenceWeight(EpochHistograms):
    """Adjusts `reference_weight` over the epochs of a stage, with no retrace; logs it as `"reference_weight"`.

    With `start` the weight of the first epoch, and `t` from 0 in the first epoch to 1 in the last one:

    - `"constant"`: `start`
    - `"linear"`: `start + t * (end - start)`
    - `"cosine"`: `end + (start - end) * (1 + cos(pi * t)) / 2`
    - `"adaptive"`: after every epoch the weight is multiplied by `exp(gain * (target - agreement))`, where `agreement`
      is the measured part of training samples for which student and reference predict the same class. So the
      reference pulls harder while the student drifts further from it than `target`, and lets go while it stays near.
      The rule is ours, the paper's is not available to us.

    A stage without a reference is left as it is.

    Args:
        schedule: One of the four.
        start: Weight in the first epoch, at least 0. Default: the stage's `reference_weight`.
        end: Weight in the last epoch of `"linear"` and `"cosine"`, at least 0.
        target: Agreement that `"adaptive"` steers to, from 0 to 1.
        gain: How fast `"adaptive"` steers, at least 0.
        maximum: Upper bound of the weight under `"adaptive"`.

    Attributes:
        distributions: Dict of epoch to the histogram of the samples' reference weights in it: rows of left edge,
            right edge and count.

    Raises:
        ValueError: If `schedule` is unknown or a number is out of range.

    Example:

    >>> AdaptiveReferenceWeight("linear", end=0.0).weight_at(progress=0.25, start=1.0)
    0.75
    """

    def __init__(
        self,
        schedule: str = "adaptive",
        start: float | None = None,
        end: float = 0.0,
        target: float = 0.9,
        gain: float = 1.0,
        maximum: float = 10.0,
    ) -> None:
        super().__init__()
        self.schedule = check_choice("schedule", schedule, SCHEDULES)
        self.start = None if start is None else check_weight("start", start)
        self.end = check_weight("end", end)
        self.target = check_fraction("target", target)
        self.gain = check_weight("gain", gain)
        self.maximum = check_weight("maximum", maximum)
        if self.start is not None:
            self._check_start(self.start)
        self.distributions: dict[int, np.ndarray] = {}
        self._first_epoch: int | None = None

    def _check_start(self, start: float) -> None:
        if self.schedule == "adaptive" and start > self.maximum:
            raise ValueError(f"`start` must be at most `maximum`. Received: start={start!r}, maximum={self.maximum!r}")

    def weight_at(self, progress: float, start: float) -> float:
        """The scheduled weight at `progress`, 0 in the first epoch of the stage and 1 in the last one."""
        if self.schedule == "linear":
            return start + progress * (self.end - start)
        if self.schedule == "cosine":
            return self.end + (start - self.end) * (1 + math.cos(math.pi * progress)) / 2
        return start

    def on_train_begin(self, logs: Any = None) -> None:
        self._first_epoch = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        model = self.model
        if getattr(model, "reference", None) is None:
            return
        is_first = self._first_epoch is None
        if self._first_epoch is None:
            self._first_epoch = epoch
            self._start = float(model.reference_weight.numpy()) if self.start is None else self.start
            self._check_start(self._start)
        if is_first or self.schedule != "adaptive":
            progress = (epoch - self._first_epoch) / max(self.params["epochs"] - 1 - self._first_epoch, 1)
            model.reference_weight = self.weight_at(progress, self._start)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        model = self.model
        if getattr(model, "reference", None) is None:
            return
        self.distributions[epoch] = self.histograms["sample_reference_weight"]
        logs["reference_weight"] = weight = float(model.reference_weight.numpy())
        if self.schedule == "adaptive":
            factor = math.exp(self.gain * (self.target - float(logs["reference_agreement"])))
            model.reference_weight = min(weight * factor, self.maximum)
