"""The best epoch of a run by one of its logs."""

import math
from collections.abc import Sequence
from typing import Any

from keras_smskd.history import StageRecord


def is_best(log: str, records: Sequence[StageRecord]) -> bool:
    """Whether the last epoch of a run is better than all before: lower for losses, higher for anything else."""
    if log not in records[-1].history:
        raise ValueError(
            f"`backup_best` must be one of the logs {sorted(records[-1].history)}. Received: backup_best={log!r}"
        )
    sign = -1.0 if log.endswith("loss") else 1.0
    *before, last = (sign * value for record in records for value in record.history.get(log, []))
    return not math.isnan(last) and all(last > value or math.isnan(value) for value in before)


def described(records: Sequence[StageRecord], chosen: str) -> dict[str, Any]:
    """The last epoch of a run, and why its student was chosen."""
    record = records[-1]
    logs = {log: values[-1] for log, values in record.history.items()}
    return {"chosen": chosen, "stage": record.name, "epoch": record.epoch[-1] + 1, **logs}
