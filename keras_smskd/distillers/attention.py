"""Attention: the attention scores of transformer encoders."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Model
from keras_smskd.base.masked import MaskedDistiller
from keras_smskd.checks import check_ranks
from keras_smskd.features import Features
from keras_smskd.ops import LOWEST, mean_of_kept, pairs_of_kept

Tensor = Any

# Without a mask, scores up to here count as those of padding, as in TextBrewer.
PADDING = -1e-3

# The smallest probability whose logarithm is taken.
SMALLEST = 1e-30


def attention_loss(
    teacher: Tensor,
    student: Tensor,
    mask: Tensor = None,
    cross_entropy: bool = False,
    merge_heads: bool = False,
    from_logits: bool = False,
) -> Tensor:
    """Difference of the attention `(batch, heads, length, length)` of kept tokens; see `AttentionDistiller`."""
    if merge_heads:
        merge = ops.mean if cross_entropy else ops.sum
        teacher, student = (merge(scores, axis=1, keepdims=True) for scores in (teacher, student))
    if cross_entropy:
        return _cross_entropy(teacher, student, mask, from_logits)
    return _squared_error(teacher, student, mask)


def _squared_error(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    pairs = pairs_of_kept(mask)
    teacher, student = (
        ops.where(scores > PADDING if pairs is None else pairs[:, None], scores, 0.0) for scores in (teacher, student)
    )
    return mean_of_kept(ops.mean(ops.square(student - teacher), axis=1), pairs)


def _cross_entropy(teacher: Tensor, student: Tensor, mask: Tensor, from_logits: bool) -> Tensor:
    kept = teacher > PADDING if mask is None else ops.cast(mask, "bool")[:, None, None, :]
    probabilities = ops.softmax(teacher, axis=-1) if from_logits else teacher
    entropy = -ops.sum(ops.where(kept, probabilities * log_probabilities(student, from_logits), 0.0), axis=-1)
    return mean_of_kept(ops.mean(entropy, axis=1), mask)


def log_probabilities(attention: Tensor, from_logits: bool) -> Tensor:
    """Logarithm of attention over its last axis; that of a probability of 0 is about -69, with no gradient."""
    if from_logits:
        return ops.log_softmax(ops.maximum(attention, LOWEST), axis=-1)
    return ops.log(ops.maximum(attention, SMALLEST))


@keras.saving.register_keras_serializable("keras_smskd")
class AttentionDistiller(MaskedDistiller):
    """Attention scores (TinyBERT): every token is to attend to the tokens that it attends to in the teacher.

    Formula: of the attention `A` of each head, averaged over heads and kept tokens and summed over the layers,

        (A_student - A_teacher)^2                                       between every two tokens, or
        -sum_k softmax(A_teacher)_k log softmax(A_student)_k            of every token, over the tokens k

    with `cross_entropy=True`, which is not 0 for a student that equals its teacher. With `merge_heads=True` the scores
    of all heads are first summed, for the cross-entropy averaged. As in TextBrewer, the mean runs over the tokens
    (pairs of tokens) of the whole batch, the loss of sample i is `sum_i * batch / tokens`; the softmax is over all
    tokens, those that are not kept included; and with `mask=None` scores of at most -1e-3 count as those of padding:
    they are set to 0, or left out of the cross-entropy.

    Attention `(batch, heads, length, length)`, of the same length in teacher and student, and without `merge_heads` of
    as many heads. In a model with `keras.layers.MultiHeadAttention` it is the output of that layer's softmax, a
    path such as `"attention/softmax"` (the number that Keras puts behind the name may be left out), and so
    probabilities. On all three backends the layer computes its softmax only with `dropout` above 0, or called with
    `return_attention_scores=True`; otherwise it takes a fused operation, which has no scores to read.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, layers that output attention.
        mask: Name of the student's input that is 1 for the tokens to keep, `(batch, length)`; None for all tokens.
        cross_entropy: Whether to take the cross-entropy instead of the squared difference.
        merge_heads: Whether to compare the heads together; teacher and student may then differ in their number.
        from_logits: Whether the layers output scores as they are before the softmax, or probabilities; it matters to
            the cross-entropy alone. TinyBERT takes the squared difference of the scores, which the layers of Keras
            do not output.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If `mask` is no such input, or a layer outputs no attention, or of another length or number of
            heads; and as `Distiller` does.

    Example:

    >>> def model(size):
    ...     tokens = keras.Input((6,), dtype="int32")
    ...     states = keras.layers.Embedding(9, size)(tokens)[:, None]
    ...     attention = keras.layers.Softmax(name="attention")(states @ keras.ops.transpose(states, (0, 1, 3, 2)))
    ...     return keras.Model(tokens, keras.layers.Dense(3)(keras.layers.Flatten()(attention @ states)))
    >>> distiller = AttentionDistiller(model(8), model(4), layers={"attention": "attention"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 6)), np.zeros(8), verbose=0)

    Source: Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", arXiv:1909.10351; the forms
    are those of Yang et al., "TextBrewer", arXiv:2002.12620.
    """

    reads = "features"
    length_axis = -1

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        cross_entropy: bool = False,
        merge_heads: bool = False,
        from_logits: bool = False,
        **kwargs: Any,
    ) -> None:
        with hint_at_fused_attention():
            super().__init__(teacher, student, **kwargs)
        check_ranks(list(self.shape_pairs), (3,), self.method)
        self.cross_entropy = cross_entropy
        self.merge_heads = merge_heads
        self.from_logits = from_logits
        for teacher_shape, student_shape in self.shape_pairs:
            if teacher_shape[merge_heads:] != student_shape[merge_heads:]:
                raise ValueError(
                    "`layers` of Attention must name attention of the same length in teacher and student, and of as "
                    f"many heads unless `merge_heads` is True. Received: merge_heads={merge_heads}, shapes "
                    f"{(None, *teacher_shape)} and {(None, *student_shape)}."
                )

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        mask = self.kept(student)
        how = (self.cross_entropy, self.merge_heads, self.from_logits)
        return sum(attention_loss(*pair, mask, *how) for pair in self.pairs(teacher, student))


@contextmanager
def hint_at_fused_attention() -> Iterator[None]:
    """Adds to the error of a layer that does not fire why the softmax of a `MultiHeadAttention` may not."""
    try:
        yield
    except ValueError as error:
        if "fired 0 times" not in str(error):
            raise
        raise ValueError(
            f"{error} A `MultiHeadAttention` computes its softmax only with `dropout` above 0, or called with "
            "`return_attention_scores=True`; otherwise a fused operation stands in for it."
        ) from None
