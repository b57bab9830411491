"""Checks of the arguments of `fit`, once before the first step."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_smskd import checks, label_checks, model_checks
from keras_smskd.argument_names import check_known, named
from keras_smskd.arrays import are_arrays, check_samples, in_numpy, is_finite

Arguments = dict[str, Any]

# Arguments that count, with the smallest number that each may be.
COUNTS = {
    "batch_size": 1,
    "steps_per_epoch": 1,
    "initial_epoch": 0,
    "validation_batch_size": 1,
    "validation_steps": 1,
    "seed": 0,
}

OF_SEQUENCES = dict.fromkeys(
    ("backup_dir", "backup_every", "backup_best", "resume"),
    "is an argument of `SequentialDistiller.fit`: make a sequence of one stage, `SequentialDistiller([distiller])`.",
)


def check_names(fit: Callable[..., Any], others: Arguments, elsewhere: Mapping[str, str]) -> None:
    """Raises if there are arguments, besides those of a `fit`, that Keras's has not either, or those of `elsewhere`."""
    for name, advice in elsewhere.items():
        if name in others:
            raise TypeError(f"`{name}` {advice} Received: {name}={others[name]!r}")
    known = {parameter.name for parameter in named(keras.Model.fit)}
    unknown = {name: value for name, value in others.items() if name not in known}
    check_known("`fit`", unknown, [keras.Model.fit, fit], without=tuple(elsewhere))


def check_arguments(arguments: Arguments, classes: int) -> None:
    """Raises if an argument of `fit` besides the data is none that trains what its user means."""
    for name, smallest in COUNTS.items():
        if arguments.get(name) is not None:
            checks.check_count(name, arguments[name], smallest)
    _check_class_weight(arguments.get("class_weight"), arguments, classes)
    _check_validation_split(arguments.get("validation_split") or 0.0, arguments)
    _check_validation_data(arguments.get("validation_data"), classes)


def check_data(x: Any, y: Any, sample_weight: Any, student: keras.Model) -> None:
    """Raises unless data that are arrays are such as the student can be trained on; other sources pass."""
    for name, array in (("y", y), ("sample_weight", sample_weight)):
        if array is not None and not hasattr(array, "shape"):
            raise TypeError(f"`{name}` must be an array. Received: {name} of type {type(array)}")
    if not are_arrays(x):
        if x is None or isinstance(x, list | tuple):
            raise TypeError(f"`x` must be an array, or a source of batches. Received: x of type {type(x)}")
        return
    check_samples({"x": x, "y": y, "sample_weight": sample_weight})
    model_checks.check_arrays(x, student)
    if sample_weight is not None:
        _check_sample_weight(sample_weight)


def check_finite(x: Any) -> None:
    """Raises unless data that are arrays hold finite numbers; other sources pass."""
    for array in keras.tree.flatten(x) if are_arrays(x) else ():
        if not is_finite(array):
            samples = ~np.isfinite(in_numpy(array)).reshape(len(array), -1).all(axis=1)
            raise ValueError(
                f"`x` must hold finite numbers. Received: x with NaN or infinite numbers in {samples.sum()} of "
                f"{len(samples)} samples, the first of them x[{samples.argmax()}]. Mend or remove them; with "
                "`compile(on_nonfinite='skip_batch')` a training leaves their batches out."
            )


def _check_sample_weight(sample_weight: Any) -> None:
    weights = ops.convert_to_numpy(sample_weight)
    if weights.ndim > 1 and weights.shape[1:] != (1,):
        raise ValueError(f"`sample_weight` must have the shape (batch,). Received: shape {weights.shape}")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(
            "`sample_weight` must hold finite numbers of at least 0. Received: numbers from "
            f"{weights.min()} to {weights.max()}"
        )


def _check_class_weight(class_weight: Any, arguments: Arguments, classes: int) -> None:
    if class_weight is None:
        return
    if not isinstance(class_weight, dict) or not all(name in range(classes) for name in class_weight):
        raise ValueError(
            f"`class_weight` must be a dict of class ids, from 0 to {classes - 1}, and weights. "
            f"Received: class_weight={class_weight!r}"
        )
    if are_arrays(arguments["x"]) and arguments["y"] is None:
        raise ValueError("`class_weight` needs the labels `y`. Received: y=None")
    for weight in class_weight.values():
        checks.check_weight("class_weight", weight)


def _check_validation_split(split: Any, arguments: Arguments) -> None:
    if checks.check_fraction("validation_split", split) and are_arrays(arguments["x"]):
        samples = len(keras.tree.flatten(arguments["x"])[0])
        if not 0 < math.floor(samples * (1.0 - split)) < samples:
            raise ValueError(
                f"`validation_split` must leave samples on both sides. Received: validation_split={split} of {samples} "
                "samples"
            )


def _check_validation_data(data: Any, classes: int) -> None:
    if isinstance(data, str) or (isinstance(data, list | tuple) and len(data) not in (1, 2, 3)):
        raise ValueError(
            "`validation_data` must be (x, y), (x, y, sample_weight) or a source of batches. Received: "
            f"{type(data).__name__} of length {len(data)}"
        )
    if isinstance(data, list | tuple):
        check_samples({f"validation_data[{index}]": array for index, array in enumerate(data)})
        label_checks.check_array(data[1] if len(data) > 1 else None, classes, "validation_data")
