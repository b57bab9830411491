"""Weightings of the reference that the ablation compares; `normalized_` ones have the same mean in every batch."""

from typing import Any

from keras import ops

from keras_smskd.reference import tcp_weighting, true_class_probability

Tensor = Any


def known(teacher_logits: Tensor, y: Tensor) -> Tensor:
    """TCP, the wrong way round."""
    return true_class_probability(teacher_logits, y)


def shuffled(teacher_logits: Tensor, y: Tensor) -> Tensor:
    """`1 - TCP` of another sample of the batch: the control."""
    return ops.roll(tcp_weighting(teacher_logits, y), 1, axis=0)


def normalized(weighting: Any) -> Any:
    """A weighting of mean 1 in every batch, so that only its order counts."""

    def mean_1(teacher_logits: Tensor, y: Tensor) -> Tensor:
        weights = weighting(teacher_logits, y)
        return weights / ops.maximum(ops.mean(weights), 1e-6)

    return mean_1


WEIGHTINGS = {
    "tcp": "tcp",
    "uniform": "uniform",
    "known": known,
    "shuffled": shuffled,
    "normalized_tcp": normalized(tcp_weighting),
    "normalized_known": normalized(known),
    "normalized_shuffled": normalized(shuffled),
}
