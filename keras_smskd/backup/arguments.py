"""Checks of the arguments of `fit` that keep a run."""

from typing import Any

from keras_smskd.base.repeatable import can_be_ordered
from keras_smskd.checks import check_count, check_directory


def check_backup(directory: Any, every: Any, best: Any, resume: Any, *, x: Any, steps_per_execution: int) -> None:
    """Raises unless a run can be kept as the arguments of `fit` say."""
    if not (isinstance(resume, bool) or resume == "force"):
        raise ValueError(f"`resume` must be True, False or 'force'. Received: resume={resume!r}")
    if directory is None:
        if every is not None or best is not None or resume == "force":
            raise ValueError(
                "`backup_every`, `backup_best` and `resume` need a `backup_dir` to keep the run in. Received: "
                f"backup_dir=None with backup_every={every!r}, backup_best={best!r}, resume={resume!r}"
            )
    else:
        check_directory("backup_dir", directory)
    if not isinstance(best, str | None):
        raise TypeError(f"`backup_best` must be the name of a log. Received: backup_best={best!r}")
    if every is not None:
        _check_every(every, x, steps_per_execution)


def _check_every(every: Any, x: Any, steps_per_execution: int) -> None:
    check_count("backup_every", every)
    if not can_be_ordered(x):
        raise ValueError(
            "`backup_every` needs data that can begin with any batch: arrays, or a `PyDataset` of known length. "
            f"Received: x of type {type(x)}. Without it, whole epochs are kept."
        )
    if steps_per_execution != 1:
        raise ValueError(
            "`backup_every` needs a model that is compiled with `steps_per_execution=1`. "
            f"Received: steps_per_execution={steps_per_execution!r}"
        )
