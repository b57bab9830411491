"""Keras losses that reduce the terms of a distiller as Keras reduces its own, and checks of those that users give."""

import inspect
from typing import Any

import keras
from keras import ops

from keras_smskd.features import precision

Tensor = Any


class MeanLoss(keras.losses.Loss):
    """Mean of values that are losses already: honours sample weights, and scales under `tf.distribute`."""

    def __init__(self) -> None:
        super().__init__(name="mean", dtype=precision())

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred

    def of(self, values: Tensor, batch_size: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Reduces `values`, `(batch,)` or a scalar that stands for every sample."""
        if len(values.shape) == 0:
            values = ops.broadcast_to(values, (batch_size,))
        return self(values, values, sample_weight)


class FunctionLoss(keras.losses.Loss):
    """A plain loss function `(y_true, y_pred) -> (batch,)` as a Keras loss."""

    def __init__(self, function: Any) -> None:
        super().__init__(name=getattr(function, "__name__", "function"))
        self.function = function

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(y_true, y_pred)


def as_loss(identifier: Any) -> keras.losses.Loss:
    """The loss that a name, a function or a loss instance stands for."""
    loss = keras.losses.get(identifier)
    return loss if isinstance(loss, keras.losses.Loss) else FunctionLoss(loss)


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
    """Raises unless `loss` is one loss, and none that takes its inputs for probabilities: students output logits."""
    one_loss = f"`loss` must be one loss: the name of one of Keras, a function or an instance. Received: loss={loss!r}"
    if isinstance(loss, keras.metrics.Metric) or not (isinstance(loss, str) or callable(loss)):
        raise TypeError(one_loss)
    try:
        resolved = keras.losses.get(loss)
    except ValueError:
        raise ValueError(one_loss) from None
    config = resolved.get_config() if isinstance(resolved, keras.losses.Loss) else _defaults(resolved)
    is_divergence = isinstance(resolved, keras.losses.KLDivergence) or resolved is keras.losses.kl_divergence
    if is_divergence or config.get("from_logits") is False:
        raise ValueError(
            f"`loss` must take logits. Received: loss={loss!r}, which expects probabilities. Pass an instance such as "
            "`keras.losses.SparseCategoricalCrossentropy(from_logits=True)`."
        )


def _defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


def check_labels_of_loss(loss: keras.losses.Loss, y: Tensor, classes: int) -> None:
    """Raises without labels, and if a loss of Keras takes class ids and `y` holds probabilities, or the reverse."""
    if y is None:
        raise ValueError(
            "`y` must be given for the label loss. Received: y=None. Without labels train with `label_weight=0` and no "
            "`loss`."
        )
    own = loss.function if isinstance(loss, FunctionLoss) else type(loss)
    if own not in vars(keras.losses).values():
        return
    takes_ids, are_ids = "sparse" in own.__name__.lower(), tuple(y.shape[1:]) != (classes,)
    if takes_ids != are_ids:
        kinds = {True: "class ids", False: f"probabilities of shape (batch, {classes})"}
        better = "SparseCategoricalCrossentropy" if are_ids else "CategoricalCrossentropy"
        raise ValueError(
            f"`loss` must fit `y`. Received: the loss {own.__name__}, which takes {kinds[takes_ids]}, with y of shape "
            f"{tuple(y.shape)}. Pass `keras.losses.{better}(from_logits=True)` for {kinds[are_ids]}."
        )
