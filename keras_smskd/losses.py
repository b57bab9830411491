"""Keras losses that reduce the terms of a distiller as Keras reduces its own."""

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
