"""What a batch of a distiller carries besides the inputs of the models."""

import dataclasses
from typing import Any

Tensor = Any

INPUTS, INDEX, KNOWLEDGE = "inputs", "index", "knowledge"


@dataclasses.dataclass(frozen=True)
class Batch:
    """The `x` of a batch, taken apart."""

    inputs: Any
    """What the models take."""

    index: Tensor | None = None
    """The positions of the samples in the training data, for methods that need them."""

    knowledge: dict[str, Tensor] | None = None
    """What teachers and reference output for the samples, by name, if that is cached."""

    @classmethod
    def of(cls, x: Any, needs_index: bool) -> "Batch":
        """Takes `x` apart, if it is more than inputs."""
        if isinstance(x, dict) and (KNOWLEDGE in x or needs_index) and {INPUTS} < set(x) <= {INPUTS, INDEX, KNOWLEDGE}:
            return cls(**x)
        return cls(x)

    def packed(self) -> dict[str, Any]:
        """The `x` of the batch."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def joined(self, features: dict[str, Any]) -> dict[str, Any]:
        """Features with what the batch has besides."""
        return {**features, INPUTS: self.inputs, INDEX: self.index}
