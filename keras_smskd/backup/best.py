"""The best epoch of a run by one of its logs."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.history import StageRecord

MODES = {"min": -1.0, "max": 1.0}


class Best:
    """What is best in a run.

    Args:
        chosen: Name of a log, or name and mode.
    """

    def __init__(self, chosen: str | tuple[str, str]) -> None:
        self.log, self.mode = (chosen, "") if isinstance(chosen, str) else chosen

    def is_last(self, records: Sequence[StageRecord], model: keras.Model) -> bool:
        """Whether the last epoch of a run, trained by a model, is better than all before."""
        logged = (record.numbers.get(self.log, [math.nan]) for record in records)
        *before, last = (value for values in logged for value in values)
        if math.isnan(last):
            return False
        sign = MODES[self.mode or self._mode_by_keras(model)]
        return all(sign * last > sign * value or math.isnan(value) for value in before)

    def check(self, records: Sequence[StageRecord], first_validation: int) -> None:
        """Raises if a run has no such log, as soon as so many epochs are done that all logs are there."""
        logs = {log for record in records for log in record.numbers}
        if self.log not in logs and sum(len(record.epoch) for record in records) >= first_validation:
            raise ValueError(
                f"`backup_best` must be one of the logs {sorted(logs)}, each of one number. "
                f"Received: backup_best={self.log!r}"
            )

    def _mode_by_keras(self, model: keras.Model) -> str:
        if self.log.endswith("loss"):
            return "min"
        name = self.log.removeprefix("val_")
        metrics = [metric for each in model.metrics for metric in getattr(each, "metrics", [each])]
        directions = {getattr(metric, "_direction", None) for metric in metrics if metric.name == name} - {None}
        if not directions:
            raise ValueError(
                f"`backup_best` must say whether '{self.log}' is better when it is higher or lower, which Keras does "
                f"not know: ('{self.log}', 'max') or ('{self.log}', 'min'). Received: backup_best={self.log!r}"
            )
        return "min" if "down" in directions else "max"


def described(records: Sequence[StageRecord], chosen: str) -> dict[str, Any]:
    """The last epoch of a run, and why its student was chosen."""
    record = records[-1]
    return {"chosen": chosen, "stage": record.name, "epoch": record.epoch[-1] + 1, **record.measured(-1)}
