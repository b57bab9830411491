"""What a distiller or a sequence of them is going to do, in plain values and as a table."""

import io
import math
from collections.abc import Sequence
from typing import Any

import keras

Plan = dict[str, Any]

WEIGHTS = ("label_weight", "distillation_weight", "reference_weight")


def describe(distiller: Any) -> Plan:
    """Method, matched layers, projector parameters, weights, hyperparameters and optimizer of a distiller."""
    of_student = {id(weight) for weight in distiller.student.weights}
    of_projectors = [weight for weight in distiller.trainable_weights if id(weight) not in of_student]
    optimizer: Plan = {}
    if distiller.compiled:
        optimizer["optimizer"] = type(distiller.optimizer).__name__
        optimizer["learning_rate"] = float(keras.ops.convert_to_numpy(distiller.optimizer.learning_rate))
    return {
        "method": distiller.method,
        "layers": ", ".join(f"{teacher}: {student}" for teacher, student in distiller.matched_layers),
        "projector_parameters": sum(math.prod(weight.shape) for weight in of_projectors),
        **distiller.hyperparameters(),
        **optimizer,
    }


def table(plans: Sequence[Plan]) -> str:
    """The plans of all stages for people, one row each."""
    from rich.console import Console  # noqa: PLC0415, only needed to print
    from rich.table import Table  # noqa: PLC0415

    grid = Table("Stage", "Method", "Epochs", "Layers (teacher: student)", "Projector parameters", "Weights")
    for index, plan in enumerate(plans):
        weights = [f"{name.removesuffix('_weight')} {plan[name]:g}" for name in WEIGHTS]
        layers = plan["layers"].replace(", ", "\n")
        parameters = f"{plan['projector_parameters']:,}"
        grid.add_row(
            f"{index + 1} {plan['name']}", plan["method"], str(plan["epochs"]), layers, parameters, "\n".join(weights)
        )
    text = io.StringIO()
    Console(file=text, width=120, force_terminal=False, force_jupyter=False).print(grid)
    return text.getvalue()
