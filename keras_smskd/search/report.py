"""What came out of a search, in plain values and as a table."""

import io
import math
from collections.abc import Sequence
from typing import Any

from keras_tuner.engine.trial import Trial

from keras_smskd.search.halving import Part, SuccessiveHalving, failed
from keras_smskd.search.rungs import total

Result = dict[str, Any]


def result_of(trial: Trial, oracle: SuccessiveHalving) -> Result:
    """A trial in plain values; NaN is the value of one that failed."""
    plan = oracle.plan_of(trial)
    return {
        "plan": plan.text,
        "reference_weight": plan.reference_weight,
        "epochs": trial.hyperparameters.values["epochs"],
        oracle.objective.name: math.nan if failed(trial) else float(trial.score),
        "failure": trial.message,
    }


def line(result: Result, objective: str) -> str:
    """A trial in a line."""
    value = f"{objective} {result[objective]:.4f}" if result["failure"] is None else result["failure"]
    return f"{result['plan']}, reference_weight {result['reference_weight']:g}, {result['epochs']} epochs: {value}"


def division(parts: Sequence[Part], budget: int) -> str:
    """How the budget is divided, in a line."""
    spent = sum(total(part.rungs) for part in parts)
    return f"Plans: {'; '.join(map(_division_of, parts))}; {spent} epochs of a budget of {budget}."


def _division_of(part: Part) -> str:
    rungs = ", then ".join(f"{rung.plans} for {rung.epochs}" for rung in part.rungs)
    return f"{part.name}, {rungs} epochs"


def table(results: Sequence[Result], objective: str) -> str:
    """Trials for people, one row each."""
    from rich.console import Console  # noqa: PLC0415, only needed to print
    from rich.table import Table  # noqa: PLC0415

    grid = Table("Plan", "Reference weight", "Epochs", objective)
    for result in results:
        value = f"{result[objective]:.4f}" if result["failure"] is None else "failed"
        grid.add_row(result["plan"], f"{result['reference_weight']:g}", str(result["epochs"]), value)
    text = io.StringIO()
    Console(file=text, width=120, force_terminal=False, force_jupyter=False).print(grid)
    return text.getvalue()
