"""A loss or a student that is not finite ends the training, with an error that says where it began."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_smskd.arrays import are_arrays, batches_of, can_be_read_again, copies_of, is_finite
from keras_smskd.features import example_inputs, layer_paths, outputs_of, sublayers

ON_NONFINITE = ("raise", "skip_batch")


class NonFiniteError(Exception):
    """A loss, or the student, is not finite.

    Args:
        epoch: The epoch, from 0.
        batch: The batch in it; None if the weights are not finite at its end.
        terms: The terms of the loss that are not finite.
    """

    def __init__(self, epoch: int, batch: int | None, terms: list[str]) -> None:
        where = "" if batch is None else f", batch {batch + 1} of its order"
        what = ", ".join(terms) or "its weights"
        are = "is" if len(terms) == 1 else "are"
        super().__init__(f"epoch {epoch + 1}{where}: {what} {are} not finite")


class FiniteCheck(keras.callbacks.Callback):
    """Ends the training of a distiller when its loss or its student is not finite.

    Args:
        distiller: The distiller to check.
    """

    async_safe = True  # Keras hands it logs that it has read already, and need not wait for it.

    def __init__(self, distiller: Any) -> None:
        super().__init__()
        self.distiller = distiller
        self.epoch = self.begun = 0
        self.last_good: dict[int, np.ndarray] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self.begun = 0
        self.last_good = self._values()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch
        self.begun += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not np.isfinite(logs["loss"]):
            terms = [name for name, value in logs.items() if name.endswith("_loss") and not np.isfinite(value)]
            before = self.distiller.first_batch if self.begun == 1 else 0
            raise NonFiniteError(self.epoch, before + batch, terms or ["loss"])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = self._values()
        of_student = [values[id(variable)] for variable in self.distiller.student.variables if id(variable) in values]
        if not all(map(is_finite, of_student)):
            raise NonFiniteError(epoch, None, [])
        self.last_good = values

    def on_train_end(self, logs: Any = None) -> None:
        self.last_good = {}

    def _values(self) -> dict[int, np.ndarray]:
        variables = self.distiller.changing_variables
        return dict(zip(map(id, variables), copies_of(variables), strict=True))

    def error(self, fault: NonFiniteError, x: Any) -> FloatingPointError:
        """Gives student, method and optimizer back their last finite values, and says where the fault began.

        Args:
            fault: What was found.
            x: The training data.
        """
        student, inputs_of = self.distiller.student, self.distiller._inputs_of
        diverged = next((path for path, layer in _leaves(student) if not all_finite(layer.weights)), None)
        for variable in self.distiller.changing_variables:
            variable.assign(self.last_good[id(variable)])
        steps = self.params.get("steps")
        cause = _in_data(x, None if steps is None else steps * self.begun, inputs_of)
        in_layers = (_in_layers(student, batch) for batch in _batches(inputs_of(x), student))
        cause = cause or next(filter(None, in_layers), None) or _without_cause(diverged)
        return FloatingPointError(
            f"{self.distiller.method} has stopped in {fault}. The student has the weights of the last whole epoch "
            f"again: {cause}. Lower the learning rate or the weight of the term, mend the data or the layer, or leave "
            "such batches out with `compile(on_nonfinite='skip_batch')`."
        )


def _in_data(x: Any, limit: int | None, inputs_of: Callable[[Any], Any]) -> str | None:
    """Which arrays, or which of the batches that a source gave first, hold inputs that are not finite."""
    batches: Iterable[Any] = ()
    if are_arrays(x):
        batches = [(x,)]
    elif can_be_read_again(x):
        batches = itertools.islice(batches_of(x), limit)
    for index, batch in enumerate(batches):
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        if not all(map(is_finite, keras.tree.flatten(inputs_of(inputs)))):
            of_source = f"`x[{index}]`" if isinstance(x, keras.utils.PyDataset) else "a batch of `x`"
            return f"{'`x`' if are_arrays(x) else of_source} holds inputs that are not finite"
    return None


def _in_layers(student: keras.Model, x: Any) -> str | None:
    """The first layer, in the order of `model.layers`, that is not finite in a forward pass."""
    with ExitStack() as stack:
        fired = {path: stack.enter_context(outputs_of(layer)) for path, layer in _leaves(student)}
        student(x, training=False)
    layer = next((path for path, outputs in fired.items() if not all_finite(keras.tree.flatten(outputs))), None)
    return None if layer is None else f"its layer '{layer}' is the first whose outputs are not finite"


def _without_cause(diverged: str | None) -> str:
    """Where the fault is, if a forward pass does not show it."""
    if diverged is None:
        return "all its layers give finite outputs, so the labels, the loss or the teacher must be at fault"
    return f"with them all layers give finite outputs; '{diverged}' was the first to get others that are not finite"


def _leaves(model: keras.Model) -> list[tuple[str, keras.Layer]]:
    """The layers inside a model that hold no others, by path."""
    return [(path, layer) for path, layer in layer_paths(model).items() if not sublayers(layer)]


def _batches(x: Any, model: keras.Model, size: int = 256) -> Iterator[Any]:
    """The training data if they are arrays, an example otherwise."""
    if not are_arrays(x):
        yield example_inputs(model)
        return
    for start in range(0, len(keras.tree.flatten(x)[0]), size):
        yield keras.tree.map_structure(lambda array: ops.convert_to_tensor(array[start : start + size]), x)  # noqa: B023


def all_finite(tensors: Sequence[Any]) -> bool:
    """Whether variables, tensors or arrays are finite."""
    return all(bool(ops.all(ops.isfinite(tensor))) for tensor in tensors)
