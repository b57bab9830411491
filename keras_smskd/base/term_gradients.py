"""The gradient of every term of a distiller's loss, taken without training."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_smskd.base.trains_some import TrainsSome
from keras_smskd.base.weighted_terms import DISTILLATION_TERM
from keras_smskd.features import precision
from keras_smskd.replicas import replicas

Tensor = Any


class TermGradients(TrainsSome):
    """Gradients of the weighted terms of a distiller's loss with respect to the student, on one batch.

    Every term is a training step that changes nothing; all share one compiled step.

    Args:
        distiller: A compiled distiller, whose `separate_terms` are measured.
    """

    def __init__(self, distiller: Any) -> None:
        super().__init__(dtype=distiller.dtype_policy, autocast=False)
        self.distiller = distiller
        self.terms = distiller.separate_terms
        self.selected = self.add_weight(
            name="selected",
            shape=(len(self.terms),),
            initializer="zeros",
            dtype=precision(),
            trainable=False,
            autocast=False,
        )
        self.built = True
        how = {"run_eagerly": distiller.run_eagerly, "jit_compile": distiller.jit_compile}
        self.compile(optimizer=GradientKeeper(), auto_scale_loss=False, **how)
        self.optimizer.build(self.trainable_variables)

    @property
    def trainable_variables(self) -> list[Any]:
        """The student's trained variables; those of projectors are none that two terms could fight for."""
        of_student = {id(variable) for variable in self.distiller.student.variables}
        return [variable for variable in self.distiller.trainable_variables if id(variable) in of_student]

    def of(self, x: Any, y: Any) -> dict[str, np.ndarray]:
        """The gradient of every term on a batch by name, as one vector: that of the whole `distillation_loss` too."""
        gradients = {term: self._gradient(index, x, y) for index, term in enumerate(self.terms)}
        summands = [gradients[term] for term in self.distiller.distillation_terms]
        return {**gradients, DISTILLATION_TERM: np.sum(summands, axis=0)}

    def _gradient(self, index: int, x: Any, y: Any) -> np.ndarray:
        scale = _loss_scale(self.distiller.optimizer)
        self.selected.assign(scale * np.eye(len(self.terms))[index])
        with unchanged([*self.distiller.own_variables, *self.distiller.metrics_variables]):
            self.train_on_batch(x, y)
        gradients = [np.ravel(ops.convert_to_numpy(gradient)) for gradient in self.optimizer.gradients]
        return np.concatenate(gradients).astype("float64") / scale

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.distiller(x, training=training)

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        with self.distiller.in_mode("train"):
            return super().train_step(*args, **kwargs)

    def compute_loss(
        self, x: Any = None, y: Tensor = None, y_pred: Any = None, sample_weight: Tensor = None, training: bool = True
    ) -> Tensor:
        """The selected term."""
        terms = self.distiller.weighted_terms(x, y, y_pred, sample_weight, separate=True)
        return sum(self.selected[index] * weight * value for index, (_, weight, value) in enumerate(terms))


class GradientKeeper(keras.optimizers.Optimizer):
    """Keeps the gradients of a step, as `gradients`, in place of changing the variables."""

    def __init__(self) -> None:
        super().__init__(learning_rate=0.0)

    def build(self, variables: Sequence[Any]) -> None:
        super().build(variables)
        self.gradients = [self.add_variable(variable.shape, dtype=precision()) for variable in variables]

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        grads = [
            ops.zeros_like(kept) if gradient is None else ops.convert_to_tensor(gradient, kept.dtype)
            for kept, gradient in zip(self.gradients, grads, strict=True)
        ]
        for kept, gradient in zip(self.gradients, replicas().whole(grads), strict=True):
            kept.assign(gradient)


@contextmanager
def unchanged(variables: Sequence[Any]) -> Iterator[None]:
    """Gives variables their values back when the context ends."""
    before = [ops.stop_gradient(ops.copy(variable.value)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _loss_scale(optimizer: keras.optimizers.Optimizer) -> float:
    """What multiplies the loss of a step in float16, whose small gradients would be zero."""
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return float(ops.convert_to_numpy(optimizer.dynamic_scale)) if scales else 1.0
