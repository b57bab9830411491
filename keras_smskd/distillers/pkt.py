"""PKT: probabilistic knowledge transfer."""

from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Distiller
from keras_smskd.features import Features
from keras_smskd.ops import flatten, safe_sqrt

Tensor = Any

# Added to lengths and probabilities, as in the reference implementation: it keeps their ratios finite.
SMALLEST = 1e-7


def pkt_loss(teacher: Tensor, student: Tensor) -> Tensor:
    """Divergence of the neighbourhoods of each sample in a batch, `(batch,)`; see `PKTDistiller`."""
    teacher, student = neighbourhoods(teacher), neighbourhoods(student)
    # The logarithm of the ratio of the two, which loses no digits where they are nearly equal.
    return ops.mean(teacher * ops.log1p((teacher - student) / (student + SMALLEST)), axis=-1)


def neighbourhoods(features: Tensor) -> Tensor:
    """How probable it is for sample j to be the neighbour of sample i, `(batch i, batch j)`, by their cosine."""
    features = flatten(features)
    length = safe_sqrt(ops.sum(ops.square(features), axis=-1, keepdims=True))
    directions = ops.where(length > 0, features, 0.0) / (length + SMALLEST)
    cosines = ops.matmul(directions, ops.transpose(directions))
    similarities = ops.maximum(cosines + 1.0, 0.0) / 2.0  # A rounded cosine may be below -1.
    return similarities / ops.sum(similarities, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable("keras_smskd")
class PKTDistiller(Distiller):
    """Probabilistic Knowledge Transfer (PKT): what is near to the teacher is to be near to the student.

    Formula: with `k_ij = (cosine(features_i, features_j) + 1) / 2` and `p_ij = k_ij / sum_j k_ij` for all samples i
    and j of a batch, `mean_ij p_teacher * log((p_teacher + 1e-7) / (p_student + 1e-7))`, summed over the layers. As in
    the reference implementation, 1e-7 is added to the lengths within the cosine too, a sample is its own neighbour, and
    the divergence of each row is divided by the batch size once more. Row i is the loss of sample i.

    Features of any shape, flattened; teacher and student may differ in size.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, usually the pooled features in front of the classifier.
        **kwargs: Further arguments of `Distiller`. `distillation_weight` is 30000 by default, as in the published
            benchmarks: the loss is small.

    Raises:
        ValueError: In `fit`, if a batch holds fewer than 2 samples; and as `Distiller` does.

    Example:

    >>> def model(width):
    ...     return keras.Sequential([keras.Input((4,)), keras.layers.Dense(width, name="pool"), keras.layers.Dense(3)])
    >>> distiller = PKTDistiller(model(16), model(5), layers={"pool": "pool"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)

    Source: Passalis and Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer",
    arXiv:1803.10837.
    """

    kind = "relation"
    reads = "features"
    default_distillation_weight = 30000.0
    smallest_batch = 2

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        return sum(pkt_loss(*pair) for pair in self.pairs(teacher, student))
