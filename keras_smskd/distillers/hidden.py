"""Hidden: the hidden states of transformer encoders."""

from typing import Any

import keras
from keras import ops

from keras_smskd.base.masked import MaskedDistiller
from keras_smskd.base.projected import ProjectedDistiller
from keras_smskd.features import Features
from keras_smskd.ops import mean_of_kept

Tensor = Any


def hidden_loss(teacher: Tensor, student: Tensor, mask: Tensor = None) -> Tensor:
    """Mean squared difference of the hidden states of kept tokens, `(batch,)`; see `HiddenDistiller`."""
    return mean_of_kept(ops.mean(ops.square(student - teacher), axis=-1), mask)


@keras.saving.register_keras_serializable("keras_smskd")
class HiddenDistiller(MaskedDistiller, ProjectedDistiller):
    """Hidden states (TinyBERT): every token is to be represented as the teacher represents it.

    Formula: `mean((projector(student) - teacher)^2)` over the size of a hidden state and the tokens that are kept,
    summed over the layers. As published, the mean runs over the kept tokens of the whole batch: the loss of sample i
    is `sum_i * batch / tokens`, so a longer text counts for more.

    Sequences `(batch, length, size)` of the same length in teacher and student; maps become sequences of their
    positions. A dense projector, trained with the student and no part of it, where the sizes differ (TinyBERT has one
    everywhere).

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, layers that output sequences.
        mask: Name of the student's input that is 1 for the tokens to keep, `(batch, length)`; None for all tokens.
        projector: Makes the projector from the shapes of a pair, `(teacher_shape, student_shape) -> keras.Layer`; None
            for none, where the shapes are equal.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If `mask` is no such input, the sequences differ in length, or a projector does not give the
            teacher's shape; and as `Distiller` does.

    Example:

    >>> def model(size):
    ...     inputs = {name: keras.Input((6,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    ...     states = keras.layers.Embedding(9, size, name="states")(inputs["token_ids"])
    ...     kept = states * keras.ops.expand_dims(inputs["padding_mask"], axis=-1)
    ...     return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(kept)))
    >>> distiller = HiddenDistiller(model(8), model(4), layers={"states": "states"}, mask="padding_mask")
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> x = {"token_ids": np.ones((8, 6), "int32"), "padding_mask": np.ones((8, 6), "int32")}
    >>> history = distiller.fit(x, np.zeros(8), verbose=0)

    Source: Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", arXiv:1909.10351.
    """

    reads = "sequences"

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        mask = self.kept(student)
        return sum(hidden_loss(*pair, mask) for pair in self.projected(teacher, student))
