"""Training steps that leave everything as it was for a batch whose loss is not finite."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any
Step = Callable[..., Any]


def skipping(model: Any, step: Step) -> Step:
    """Keras's training step of a distiller, undone if it gives a loss or weights that are not finite.

    Keras has two kinds of step, told apart by what they take: `step(data) -> logs` changes the variables, and
    `step(state, data) -> (logs, state)` gives new values of them.
    """

    def run(*args: Any) -> Any:
        return _stateful(model, step, *args) if len(args) == 1 else _stateless(model, step, *args)

    return run


def _stateful(model: Any, step: Step, data: Any) -> dict[str, Tensor]:
    skipped = model.skipped_batches.variables
    variables = {id(variable): variable for variable in [*model.changing_variables, *model.metrics_variables]}
    kept = [variable for variable in variables.values() if not any(variable is each for each in skipped)]
    before = [ops.stop_gradient(ops.copy(variable.value)) for variable in kept]
    logs = step(data)
    is_finite = _is_finite(logs["loss"], [variable.value for variable in model.trainable_variables])
    for variable, value in zip(kept, before, strict=True):
        variable.assign(ops.where(is_finite, variable.value, value))
    model.skipped_batches.update_state(ops.logical_not(is_finite))
    return model.get_metrics_result()


def _stateless(model: Any, step: Step, state: Any, data: Any) -> tuple[dict[str, Tensor], Any]:
    logs, after = step(state, data)
    is_finite = _is_finite(logs["loss"], after[0])
    after = tuple(
        [new if new is old else ops.where(is_finite, new, old) for new, old in zip(*values, strict=True)]
        for values in zip(after, state, strict=True)
    )
    metrics = after[-1]
    for index, variable in enumerate(model.metrics_variables):
        if any(variable is each for each in model.skipped_batches.variables):
            metrics[index] += ops.cast(ops.logical_not(is_finite), variable.dtype)
    with keras.StatelessScope(state_mapping=list(zip(model.metrics_variables, metrics, strict=True))):
        return model.get_metrics_result(), after


def _is_finite(loss: Tensor, weights: Sequence[Tensor]) -> Tensor:
    numbers = [ops.cast(loss, "float32"), *(ops.sum(ops.cast(weight, "float32")) for weight in weights)]
    return ops.all(ops.isfinite(ops.stack(numbers)))
