"""Checks of what a user hands in, each with an error that says what was received and what would do."""

import importlib
import itertools
import math
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

RESERVED = ("inputs", "index", "known", "views")
"""Names under which the features of a batch have what belongs to it besides layers."""

Tensor = Any


def check_positive(name: str, value: float) -> float:
    """Returns `value` if it is a finite number above 0."""
    if not _is_number(value) or not value > 0:
        raise ValueError(f"`{name}` must be a finite number above 0. Received: {name}={value!r}")
    return float(value)


def check_weight(name: str, value: float) -> float:
    """Returns `value` if it is a finite number of at least 0."""
    if not _is_number(value) or not value >= 0:
        raise ValueError(f"`{name}` must be a finite number of at least 0. Received: {name}={value!r}")
    return float(value)


def check_fraction(name: str, value: float) -> float:
    """Returns `value` if it is a number from 0 to 1."""
    if check_weight(name, value) > 1:
        raise ValueError(f"`{name}` must be a number from 0 to 1. Received: {name}={value!r}")
    return float(value)


def check_installed(package: str, needed_by: str) -> None:
    """Raises unless a package is installed that not all users need."""
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"`{needed_by}` needs the `{package}` package: `pip install {package}`.") from error


def check_cosine(name: str, value: float) -> float:
    """Returns `value` if it is a number from -1 to 1."""
    if not _is_number(value) or not -1 <= value <= 1:
        raise ValueError(f"`{name}` must be a number from -1 to 1. Received: {name}={value!r}")
    return float(value)


def check_count(name: str, value: int, smallest: int = 1) -> int:
    """Returns `value` if it is a whole number of at least `smallest`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < smallest:
        raise ValueError(f"`{name}` must be a whole number of at least {smallest}. Received: {name}={value!r}")
    return int(value)


def check_boolean(name: str, value: bool) -> bool:
    """Returns `value` if it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False. Received: {name}={value!r} (of type {type(value)})")
    return value


def check_one_or_two(name: str, value: int) -> int:
    """Returns `value` if it is 1 or 2."""
    if isinstance(value, bool) or value not in (1, 2):
        raise ValueError(f"`{name}` must be 1 or 2. Received: {name}={value!r}")
    return value


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Returns `value` if it is one of the `choices`."""
    if value not in (choices := sorted(choices)):
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")
    return str(value)


def check_list(name: str, values: Any) -> list[Any]:
    """Returns `values` as a list, if they are one or another sequence, and no text."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError(f"`{name}` must be a list. Received: {name}={values!r}")
    return list(values)


def check_directory(name: str, path: Any) -> pathlib.Path:
    """Returns the `path` of a directory, which need not exist."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`{name}` must be the path of a directory. Received: {name}={path!r} (of type {type(path)})")
    if not os.fspath(path):
        raise ValueError(f"`{name}` must be the path of a directory. Received: {name}={path!r}")
    if os.path.isfile(path):
        raise NotADirectoryError(f"`{name}` cannot be used: it must be a directory. Received: the file {str(path)!r}")
    return pathlib.Path(path)


def check_callbacks(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Returns a callback, a list of them or None as a list."""
    callbacks = [callback for callback in keras.tree.flatten(callbacks) if callback is not None]
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise TypeError(f"`callbacks` must hold callbacks. Received: {callback!r} (of type {type(callback)})")
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ValueError(
                "`callbacks` must not hold `keras.callbacks.BackupAndRestore`: it would restore neither the stage nor "
                "what the method trains besides the student. Use `SequentialDistiller.fit(backup_dir=...)` instead."
            )
    return callbacks


def check_layers(layers: Any, reads: str | None, method: str) -> dict[str, str]:
    """Returns `layers` as a dict, empty for a method that needs none."""
    if layers is None and reads in (None, "logits"):
        return {}
    if reads == "logits":
        raise ValueError(f"`layers` must be None for {method}, which compares outputs. Received: layers={layers!r}")
    if not isinstance(layers, dict) or not layers:
        raise ValueError(
            f"`layers` of {method} must be a dict of {{teacher_layer: student_layer}} with one entry or more. "
            f"Received: layers={layers!r}"
        )
    if taken := sorted({path for pair in layers.items() for path in pair if path in RESERVED}):
        raise ValueError(
            f"`layers` cannot name layers '{', '.join(taken)}': features have the batch under such names. Received: "
            f"layers={layers!r}. Rename them, or match others."
        )
    return dict(layers)


def check_consecutive(layers: dict[str, str], method: str) -> None:
    """Raises unless there are two layers or more."""
    if len(layers) < 2:
        raise ValueError(
            f"`layers` of {method}, which compares consecutive layers, must have two entries or more. "
            f"Received: layers={layers!r}"
        )


def check_ranks(pairs: list[tuple[tuple[int, ...], tuple[int, ...]]], ranks: tuple[int, ...], method: str) -> None:
    """Raises unless all feature shapes (without the batch axis) have one of the `ranks`."""
    for shape in itertools.chain.from_iterable(pairs):
        if len(shape) not in ranks:
            raise ValueError(
                f"`layers` of {method} must name layers whose outputs have "
                f"{' or '.join(str(rank) for rank in ranks)} axes besides the batch. Received: shape {(None, *shape)}."
            )


def check_weighting(weights: Tensor, logits: Tensor) -> None:
    """Raises unless a weighting returned one weight for every sample."""
    shape = getattr(weights, "shape", None)
    if shape is None or len(shape) != 1 or shape[0] != logits.shape[0]:
        raise ValueError(
            "`weighting` must return one weight for every sample, a tensor of shape (batch,). Received: "
            f"{weights!r} for teacher logits of shape {tuple(logits.shape)}."
        )


def check_distillation_loss(losses: list[Tensor], logits: Tensor, method: str) -> None:
    """Raises unless a method returned a loss for every sample, or one for all, towards each teacher."""
    for loss in losses:
        shape = getattr(loss, "shape", None)
        if shape is None or len(shape) > 1 or shape[0:1] not in ((), (None,), logits.shape[0:1]):
            raise ValueError(
                f"`distillation_loss` of {method} must return a tensor of shape (batch,), or a scalar. "
                f"Received: {loss!r} for logits of shape {tuple(logits.shape)}."
            )


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def check_optimizer(optimizer: Any) -> keras.optimizers.Optimizer:
    """Returns the optimizer of that name, or `optimizer` itself if it is one."""
    one_optimizer = f"`optimizer` must be one of Keras, by name or as an instance. Received: optimizer={optimizer!r}"
    if not isinstance(optimizer, str | dict | keras.optimizers.Optimizer):
        raise TypeError(f"{one_optimizer}. A stage of its own optimizer is `Stage(optimizer=...)`.")
    try:
        return keras.optimizers.get(optimizer)
    except ValueError:
        raise ValueError(one_optimizer) from None


def check_batch_size(batch_size: int, smallest: int, largest: int | None, method: str) -> None:
    """Raises if a batch of `batch_size` samples has no relations for `method` to match, or too many."""
    if largest is not None and batch_size > largest:
        raise ValueError(
            f"`batch_size` of `fit` must be at most {largest} for {method}, which was made for batches of that size. "
            f"Received: batches of {batch_size}."
        )
    if batch_size < smallest:
        raise ValueError(
            f"`batch_size` must be at least {smallest} for {method}, which compares the samples of a batch with each "
            f"other. Received: batches of {batch_size}."
        )
