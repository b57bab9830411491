"""Checks of the arguments of `fit` that keep a run."""

from typing import Any

from keras_smskd.backup.best import MODES
from keras_smskd.base.repeatable import can_be_ordered
from keras_smskd.checks import check_count, check_directory


def check_resume(resume: Any, can_go_on: bool) -> None:
    """Raises unless a run can go on as `fit` is asked to."""
    if not (isinstance(resume, bool) or resume == "force"):
        raise ValueError(f"`resume` must be True, False or 'force'. Received: resume={resume!r}")
    if resume == "force" and not can_go_on:
        raise ValueError(
            "`resume` needs a `backup_dir`, or a loaded run, to go on with. Received: resume='force' with "
            "backup_dir=None"
        )


def check_backup(directory: Any, every: Any, best: Any, *, x: Any, steps_per_execution: int) -> None:
    """Raises unless a run can be kept as the arguments of `fit` say."""
    if directory is None:
        if every is not None or best is not None:
            raise ValueError(
                "`backup_every` and `backup_best` need a `backup_dir` to keep the run in. Received: "
                f"backup_dir=None with backup_every={every!r}, backup_best={best!r}"
            )
    else:
        check_directory("backup_dir", directory)
    if not (isinstance(best, str | None) or (isinstance(best, tuple) and len(best) == 2 and best[1] in MODES)):
        raise TypeError(
            "`backup_best` must be the name of a log, or a tuple of a name and 'min' or 'max'. "
            f"Received: backup_best={best!r}"
        )
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
