"""The best epoch of a run by one of its logs."""

import math
from collections.abc import Sequence
from typing import Any

from keras_smskd.history import StageRecord


def is_best(log: str, records: Sequence[StageRecord]) -> bool:
    """Whether the last epoch of a run is better than all before: lower for losses, higher for anything else."""
    sign = -1.0 if log.endswith("loss") else 1.0
    *before, last = (sign * value for record in records for value in record.numbers.get(log, [math.nan]))
    return not math.isnan(last) and all(last > value or math.isnan(value) for value in before)


def check_best(log: str, records: Sequence[StageRecord], first_validation: int) -> None:
    """Raises if a run has no log of that name, as soon as so many epochs are done that all logs are there."""
    logs = {log for record in records for log in record.numbers}
    if log not in logs and sum(len(record.epoch) for record in records) >= first_validation:
        raise ValueError(
            f"`backup_best` must be one of the logs {sorted(logs)}, each of one number. Received: backup_best={log!r}"
        )


def described(records: Sequence[StageRecord], chosen: str) -> dict[str, Any]:
    """The last epoch of a run, and why its student was chosen."""
    record = records[-1]
    return {"chosen": chosen, "stage": record.name, "epoch": record.epoch[-1] + 1, **record.measured(-1)}
