"""DKD: decoupled knowledge distillation."""

from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.checks import check_positive, check_weight
from keras_smskd.features import Features
from keras_smskd.ops import LOWEST, divergence, log_softmax_of_others, standardize_logits, true_class

Tensor = Any


def dkd_loss(
    teacher: Tensor,
    student: Tensor,
    y: Tensor,
    temperature: float = 4.0,
    alpha: float = 1.0,
    beta: float = 8.0,
    standardize: bool = False,
) -> Tensor:
    """Decoupled divergence of the outputs of teacher and student, `(batch,)`; see `DKDDistiller`."""
    target = true_class(y, teacher)
    if standardize:
        teacher, student = standardize_logits(teacher), standardize_logits(student)
    teacher_split, teacher_others = _decouple(teacher / temperature, target)
    student_split, student_others = _decouple(student / temperature, target)
    target_divergence = divergence(teacher_split, student_split)
    others_divergence = divergence(teacher_others, student_others)
    return temperature**2 * (alpha * target_divergence + beta * others_divergence)


def _decouple(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of (target, all others), and of the others among themselves."""
    log_probabilities = ops.log_softmax(logits, axis=-1)
    log_target = ops.sum(ops.where(target, log_probabilities, 0.0), axis=-1)
    log_others = ops.logsumexp(ops.where(target, LOWEST, log_probabilities), axis=-1)
    return ops.stack([log_target, log_others], axis=-1), log_softmax_of_others(logits, target)


@keras.saving.register_keras_serializable("keras_smskd")
class DKDDistiller(Distiller):
    """Decoupled Knowledge Distillation (DKD): how sure of the true class, and what of the others, weighed apart.

    Formula: `temperature^2 * (alpha * KL(b_teacher || b_student) + beta * KL(q_teacher || q_student))` per sample,
    with `b = (p_y, 1 - p_y)` the softened probability of the true class against all others, and `q` the softened
    probabilities of the other classes among themselves; logits `(batch, classes)`. Written with `log_softmax`, so
    that it stays finite for logits of any size. With soft labels the true class is the most probable one. The
    published recipe fades the loss in over 20 epochs (`warmup_epochs=20`).

    Args:
        teacher: The model to learn from.
        student: The model to train.
        temperature: Softens both outputs, above 0.
        alpha: Weight of the true class's term, at least 0.
        beta: Weight of the other classes' term, at least 0; the published runs take 2 (ResNet56 to ResNet20) to 8
            (ResNet32x4 to ResNet8x4).
        standardize: Whether to bring the logits of every sample to mean 0 and standard deviation 1 first, as LSKD does.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If `temperature`, `alpha` or `beta` is out of range; and as `Distiller` does.

    Example:

    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> distiller = DKDDistiller(teacher, student, beta=2.0, warmup_epochs=20)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)

    Source: Zhao et al., "Decoupled Knowledge Distillation", arXiv:2203.08679; `standardize` is of arXiv:2403.01427.
    """

    kind = "response"
    reads = "logits"

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        temperature: float = 4.0,
        alpha: float = 1.0,
        beta: float = 8.0,
        standardize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.temperature = check_positive("temperature", temperature)
        self.alpha = check_weight("alpha", alpha)
        self.beta = check_weight("beta", beta)
        self.standardize = standardize

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        weights = self.alpha, self.beta
        return dkd_loss(teacher["logits"], student["logits"], y, self.temperature, *weights, self.standardize)
