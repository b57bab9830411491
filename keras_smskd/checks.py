"""Checks of what a user hands in, each with an error that says what was received and what would do."""

import inspect
import itertools
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_smskd.features import LOGITS, FeatureExtractor

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


def check_epochs(epochs: int) -> int:
    """Returns `epochs` if it is a whole number of at least 1."""
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 1:
        raise ValueError(f"`epochs` must be a whole number of at least 1. Received: epochs={epochs!r}")
    return int(epochs)


def check_layers(layers: Any) -> dict[str, str]:
    """Returns `layers` as a dict, empty for a method that reads none."""
    if layers is None:
        return {}
    if not isinstance(layers, dict) or not layers:
        raise ValueError(
            f"`layers` must be a dict of {{teacher_layer: student_layer}} with one entry or more. Received: "
            f"layers={layers!r}"
        )
    return dict(layers)


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


def check_distillation_loss(values: Tensor, method: str) -> None:
    """Raises unless a method returned a loss for every sample, or one for all."""
    shape = getattr(values, "shape", None)
    if shape is None or len(shape) > 1:
        raise ValueError(
            f"`distillation_loss` of {method} must return a tensor of shape (batch,), or a scalar. Received: {values!r}"
        )


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def check_models(teacher: keras.Model, student: keras.Model) -> None:
    """Raises unless teacher and student are two built models that share no layer and no weight."""
    for role, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, keras.Model):
            raise TypeError(f"`{role}` must be a `keras.Model`. Received: {role}={model!r} (of type {type(model)})")
        if not model.built:
            raise ValueError(
                f"`{role}` must be built. Received: the unbuilt model '{model.name}'. "
                "Give it a `keras.Input`, call it on a batch, or call `build(input_shape)`."
            )
    of_teacher = {id(weight) for weight in teacher.weights}
    shared = [weight.path for weight in student.weights if id(weight) in of_teacher]
    if shared:
        raise ValueError(
            "`student` must share no layer with `teacher`: training the student would change the teacher. Received: "
            f"{', '.join(map(repr, shared[:5]))} in both. Build the student from layers of its own, or from a copy "
            "(`keras.models.clone_model`)."
        )


def check_distillers(name: str, distillers: Any) -> None:
    """Raises unless `distillers` is a list of distillers, one or more, of the same teacher and student."""
    if not isinstance(distillers, list | tuple) or not distillers:
        raise ValueError(f"`{name}` must be a list of one distiller or more. Received: {name}={distillers!r}")
    for distiller in distillers:
        if not hasattr(distiller, "distillation_loss"):
            raise TypeError(f"`{name}` must hold distillers. Received: {distiller!r} (of type {type(distiller)})")
        for role in ("teacher", "student"):
            model, first = getattr(distiller, role), getattr(distillers[0], role)
            if model is not first:
                raise ValueError(
                    f"`{name}` must share one {role}. Received: {distillers[0].method} with '{first.name}' and "
                    f"{distiller.method} with '{model.name}', which is another object."
                )


def check_classifiers(teacher: FeatureExtractor, student: FeatureExtractor) -> int:
    """Returns the number of classes, if both models end in the logits of the same classes."""
    for extractor in (teacher, student):
        logits, role, name = extractor.example[LOGITS], extractor.role, extractor.model.name
        if logits.ndim != 2 or logits.shape[-1] < 2:
            raise ValueError(
                f"`{role}` must be a classifier with one output of shape (batch, classes), two classes or more. "
                f"Received: the model '{name}' with output shape {(None, *logits.shape[1:])}."
            )
        if (logits >= 0).all() and np.allclose(logits.sum(axis=-1), 1.0, atol=2e-2):
            raise ValueError(
                f"`{role}` must output logits. Received: the model '{name}', which ends in a softmax; a logarithm "
                "cannot give back the logits that float32 rounded to probabilities of 0 or 1. Build it without its "
                "last activation (`classifier_activation=None` in keras.applications), or take that off: "
                f"`{role}.layers[-1].activation = keras.activations.linear`."
            )
    classes, of_student = teacher.shapes[LOGITS][-1], student.shapes[LOGITS][-1]
    if classes != of_student:
        raise ValueError(
            "`teacher` and `student` must have the same number of classes. "
            f"Received: a teacher of {classes} and a student of {of_student} classes."
        )
    return classes


def check_compile(loss: Any, loss_weights: Any, label_weight: float) -> None:
    """Raises unless `loss` is one loss that takes logits, or none at all for a label weight of 0."""
    if loss_weights is not None:
        raise ValueError(f"Set `label_weight` instead of `loss_weights`. Received: loss_weights={loss_weights!r}")
    if loss is not None:
        check_loss(loss)
    elif label_weight:
        raise ValueError(
            f"`loss` must be given, or `label_weight` be 0. Received: loss=None with label_weight={label_weight:g}. "
            "Pass an instance such as `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`."
        )


def check_loss(loss: Any) -> None:
    """Raises if `loss` is a cross-entropy that takes its inputs for probabilities: students output logits."""
    resolved = keras.losses.get(loss)
    config = resolved.get_config() if isinstance(resolved, keras.losses.Loss) else _defaults(resolved)
    if config.get("from_logits") is False:
        raise ValueError(
            f"`loss` must take logits. Received: loss={loss!r}, which expects probabilities. Pass an instance such as "
            "`keras.losses.SparseCategoricalCrossentropy(from_logits=True)`."
        )


def _defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


def check_labels(y: Any, classes: int) -> None:
    """Raises unless labels `y` are class ids below `classes`, or probabilities of `classes` classes."""
    shape = tuple(y.shape)
    if len(shape) == 2 and shape[1] == classes:
        return
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise ValueError(
            f"`y` must hold class ids of shape (batch,) or probabilities of shape (batch, {classes}). "
            f"Received: y of shape {shape}."
        )


def check_label_values(invalid: float, classes: int) -> None:
    """Raises if any label was `invalid`, as counted by `count_invalid_labels`."""
    if invalid:
        raise ValueError(
            f"`y` must hold class ids from 0 to {classes - 1}, or probabilities that sum to 1. "
            f"Received: {int(invalid)} labels that do not."
        )


def count_invalid_labels(y: Tensor, classes: int) -> Tensor:
    """How many labels are no class id from 0 to `classes - 1`, or no probabilities that sum to 1."""
    if len(y.shape) == 2 and y.shape[1] == classes:
        y = ops.cast(y, "float32")
        valid = ops.logical_and(ops.abs(ops.sum(y, axis=-1) - 1.0) < 1e-2, ops.min(y, axis=-1) >= 0)
    else:
        y = ops.cast(y, "float32")
        valid = ops.logical_and(ops.logical_and(y >= 0, y < classes), ops.floor(y) == y)
    return ops.sum(ops.cast(ops.logical_not(valid), "float32"))


def check_batch_size(batch_size: int, smallest: int, method: str) -> None:
    """Raises if a batch of `batch_size` samples has no relations for `method` to match."""
    if batch_size < smallest:
        raise ValueError(
            f"`batch_size` must be at least {smallest} for {method}, which compares the samples of a batch with each "
            f"other. Received: batches of {batch_size}."
        )
