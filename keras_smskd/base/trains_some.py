"""A model that says itself which of its variables are trained."""

from typing import Any

import keras


class TrainsSome(keras.Model):
    """Base of models that override `trainable_variables`: what Keras asks for besides follows from it."""

    _missed: list[Any] | None = None
    """The parameters that PyTorch's `zero_grad` misses, once they are known."""

    @property
    def non_trainable_variables(self) -> list[Any]:
        trained = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in trained]

    @property
    def trainable_weights(self) -> list[Any]:
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Any]:
        trained = {id(weight) for weight in self.trainable_weights}
        return [weight for weight in self.weights if id(weight) not in trained]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        super().compile(*args, **kwargs)
        self._missed = None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """PyTorch's, which Keras calls before a step; it misses what layers got after they were built, such as LoRA."""
        super().zero_grad(set_to_none)
        if self._missed is None:
            parameters = {id(parameter) for parameter in self.parameters()}
            self._missed = [each.value for each in self.variables if id(each.value) not in parameters]
        for parameter in self._missed:
            parameter.grad = None
