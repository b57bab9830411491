"""MaskedDistiller: the base of methods that compare sequences of tokens, some of which are padding."""

from typing import Any

import keras

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.features import Features, input_specs

Tensor = Any


class MaskedDistiller(Distiller):
    """A distiller of token sequences, which leaves out the tokens that a mask among the inputs leaves out.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        mask: Name of the student's input that is 1 for the tokens to keep, `(batch, length)`; None for all tokens.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If `mask` is no such input; and as `Distiller` does.
    """

    kind = "feature"
    reads = "sequences"

    length_axis = 0
    """The axis of a feature, without the batch, along which its tokens lie."""

    def __init__(self, teacher: Model = None, student: Model = None, *, mask: str | None = None, **kwargs: Any) -> None:
        super().__init__(teacher, student, **kwargs)
        self.mask = check_mask(mask, self.student, self.shape_pairs[0][1][self.length_axis])

    def kept(self, student: Features) -> Tensor:
        """The mask of a batch, or None."""
        return None if self.mask is None else student["inputs"][self.mask]


def check_mask(mask: str | None, student: keras.Model, length: int) -> str | None:
    """Returns `mask` if it is None, or names an input of the student with an entry for each token."""
    inputs = input_specs(student)
    inputs = inputs if isinstance(inputs, dict) else {}
    fits = mask in inputs and len(inputs[mask].shape) == 2 and inputs[mask].shape[1] in (None, length)
    if mask is not None and not fits:
        shapes = {name: tuple(spec.shape) for name, spec in inputs.items()}
        raise ValueError(
            "`mask` must name an input of shape (batch, length) of a student that takes a dict of inputs, with an "
            f"entry for each of {length} tokens, or be None. Received: mask={mask!r} for the student "
            f"'{student.name}' with the named inputs {shapes}."
        )
    return mask
