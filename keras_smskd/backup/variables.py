"""All that training changes in a sequence, as arrays."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.arrays import copies_of
from keras_smskd.backup.plain import Arrays

MODELS, OPTIMIZER, METRICS = "variable", "optimizer", "metric"


def of_models(sequence: Any, stage: int) -> list[Any]:
    """The variables of student, reference and the distillers that still train, or all of them if no stage is left.

    Random seeds are among them. Those of teachers never change.
    """
    distillers = [each.distiller for each in sequence.stages[stage:] or sequence.stages]
    models = [sequence.student, *([sequence.reference] if sequence.reference else [])]
    found = [variable for model in models for variable in model.variables]
    found += [variable for distiller in distillers for variable in distiller.own_variables]
    return list({id(variable): variable for variable in found}.values())


def of_teachers(teachers: Sequence[keras.Model]) -> list[Any]:
    """The variables of teachers."""
    return [variable for teacher in teachers for variable in teacher.variables]


def of_optimizer(distiller: Any) -> list[Any]:
    """The variables of a distiller's optimizer, which is built for them."""
    distiller.build_optimizer()
    return list(distiller.optimizer.variables)


def of_metrics(distiller: Any) -> list[Any]:
    """The variables of a distiller's metrics, which every epoch begins anew."""
    return list(distiller.metrics_variables)


def values(variables: Sequence[Any], prefix: str) -> Arrays:
    """Copies of the values of variables."""
    return {f"{prefix}/{index}": array for index, array in enumerate(copies_of(variables))}


def restore(variables: Sequence[Any], arrays: Arrays, prefix: str) -> None:
    """Gives variables the values that they had."""
    saved = [array for name, array in arrays.items() if name.startswith(f"{prefix}/")]
    shapes, expected = [array.shape for array in saved], [tuple(variable.shape) for variable in variables]
    if shapes != expected:
        raise ValueError(
            f"The checkpoint holds other variables ({prefix}) than the models of this script have. Received: "
            f"{len(shapes)} of shapes {_first(shapes, expected)}, where {len(expected)} are needed."
        )
    for variable, array in zip(variables, saved, strict=True):
        variable.assign(keras.ops.convert_to_tensor(array, dtype=variable.dtype))


def _first(shapes: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]) -> str:
    """The first shape that differs."""
    for index, (a, b) in enumerate(zip(shapes, expected, strict=False)):
        if a != b:
            return f"{a}, not {b}, at {index}"
    return "that agree as far as they go"
