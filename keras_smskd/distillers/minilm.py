"""MiniLM: deep self-attention distillation."""

from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Model
from keras_smskd.base.masked import MaskedDistiller
from keras_smskd.distillers.attention import hint_at_fused_attention, log_probabilities
from keras_smskd.features import Features
from keras_smskd.ops import LOWEST, divergence, mean_of_kept
from keras_smskd.projectors import Shape

Tensor = Any


def minilm_loss(
    teacher: tuple[Tensor, Tensor], student: tuple[Tensor, Tensor], mask: Tensor = None, from_logits: bool = False
) -> Tensor:
    """Divergence of the attention and of the value relations of two models, `(batch,)`; see `MiniLMDistiller`."""
    (attention_teacher, values_teacher), (attention_student, values_student) = teacher, student
    attention = divergence(*(log_probabilities(x, from_logits) for x in (attention_teacher, attention_student)))
    relations = divergence(*(_log_relations(values, mask) for values in (values_teacher, values_student)))
    return mean_of_kept(ops.mean(attention + relations, axis=1), mask)


def _log_relations(values: Tensor, mask: Tensor) -> Tensor:
    """Logarithm of how much the values of tokens agree, `(batch, heads, length, length)`: over the last axis, of 1."""
    values = ops.transpose(values, (0, 2, 1, 3))
    scores = ops.matmul(values, ops.transpose(values, (0, 1, 3, 2))) / values.shape[-1] ** 0.5
    if mask is not None:
        scores = ops.where(ops.cast(mask, "bool")[:, None, None, :], scores, LOWEST)
    return ops.log_softmax(scores, axis=-1)


@keras.saving.register_keras_serializable("keras_smskd")
class MiniLMDistiller(MaskedDistiller):
    """MiniLM (deep self-attention distillation): attention and the relations of values are to agree with the teacher.

    Formula: `KL(A_teacher || A_student) + KL(R_teacher || R_student)`, with `A` the attention of a token in a head and
    `R = softmax(V V' / sqrt(size))` the relations of the head's values, averaged over heads and kept tokens and summed
    over the blocks. The paper has one block, the last. The mean runs over the kept tokens of the whole batch: the loss
    of sample i is `sum_i * batch / tokens`. The paper says nothing of padding; here relations to tokens that are not
    kept are left out.

    Of each block two layers: its attention `(batch, heads, length, length)` and its values `(batch, length, heads,
    size)`. Teacher and student must have as many heads and the same length, sizes may differ. Of a
    `keras.layers.MultiHeadAttention` these are paths such as `"attention/softmax"` and `"attention/value"`; see
    `AttentionDistiller` for when there is such a softmax.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, attention and values in turn.
        mask: Name of the student's input that is 1 for the tokens to keep, `(batch, length)`; None for all tokens.
        from_logits: Whether the layers output attention as it is before the softmax, or probabilities.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If `mask` is no such input, or the layers do not output attention and values in turn, of as many
            heads; and as `Distiller` does.

    Example:

    >>> def model(size):
    ...     tokens = keras.Input((6,), dtype="int32")
    ...     states = keras.layers.Embedding(9, size)(tokens)
    ...     values = keras.layers.Reshape((6, 1, size), name="values")(states)
    ...     values = keras.ops.transpose(values, (0, 2, 1, 3))
    ...     attention = keras.layers.Softmax(name="attention")(values @ keras.ops.transpose(values, (0, 1, 3, 2)))
    ...     return keras.Model(tokens, keras.layers.Dense(3)(keras.layers.Flatten()(attention @ values)))
    >>> distiller = MiniLMDistiller(model(8), model(4), layers={"attention": "attention", "values": "values"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 6)), np.zeros(8), verbose=0)

    Source: Wang et al., "MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained
    Transformers", arXiv:2002.10957.
    """

    kind = "relation"
    reads = "features"
    length_axis = -1

    def __init__(
        self, teacher: Model = None, student: Model = None, *, from_logits: bool = False, **kwargs: Any
    ) -> None:
        with hint_at_fused_attention():
            super().__init__(teacher, student, **kwargs)
        self.from_logits = from_logits
        shapes = list(self.shape_pairs)
        if len(shapes) % 2 or not all(map(_are_of_a_block, shapes[::2], shapes[1::2])):
            raise ValueError(
                "`layers` of MiniLM must name attention `(heads, length, length)` and values `(length, heads, size)` "
                f"in turn, with as many heads in teacher and student. Received: shapes {shapes}."
            )

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        mask = self.kept(student)
        pairs = self.pairs(teacher, student)
        return sum(
            minilm_loss((attention[0], values[0]), (attention[1], values[1]), mask, self.from_logits)
            for attention, values in zip(pairs[::2], pairs[1::2], strict=True)
        )


def _are_of_a_block(attention: tuple[Shape, Shape], values: tuple[Shape, Shape]) -> bool:
    """Whether these shapes, each of teacher and student, are those of attention and values of the same heads."""
    heads, *lengths = attention[0]
    return (
        attention[0] == attention[1]
        and len(lengths) == 2
        and all(len(shape) == 3 and shape[:2] == (lengths[1], heads) for shape in values)
    )
