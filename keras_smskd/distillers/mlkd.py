"""MLKD: multi-level logit distillation."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.checks import check_list, check_positive, check_weight
from keras_smskd.features import Features
from keras_smskd.ops import softened_divergence

Tensor = Any


def mlkd_loss(
    teacher: Tensor,
    student: Tensor,
    temperatures: Sequence[float] = (2.0, 3.0, 4.0, 5.0, 6.0),
    instance_level: float = 1.0,
    batch_level: float = 1.0,
    class_level: float = 1.0,
) -> Tensor:
    """Differences of outputs and of their relations in a batch, `(batch,)`; see `MLKDDistiller`."""
    loss = ops.zeros_like(student[:, 0])
    for temperature in temperatures:
        of_teacher, of_student = (ops.softmax(logits / temperature, axis=-1) for logits in (teacher, student))
        loss += instance_level * softened_divergence(teacher, student, temperature)
        loss += batch_level * ops.sum(ops.square(_samples(of_teacher) - _samples(of_student)), axis=-1)
        loss += class_level * ops.mean(ops.sum(ops.square(_classes(of_teacher) - _classes(of_student)), axis=-1))
    return loss


def _samples(probabilities: Tensor) -> Tensor:
    """How alike the predictions for two samples are, `(batch, batch)`."""
    return ops.matmul(probabilities, ops.transpose(probabilities))


def _classes(probabilities: Tensor) -> Tensor:
    """How alike the predictions of two classes are, `(classes, classes)`."""
    return ops.matmul(ops.transpose(probabilities), probabilities)


@keras.saving.register_keras_serializable("keras_smskd")
class MLKDDistiller(Distiller):
    """Multi-Level Logit Distillation (MLKD): samples, relations of samples and relations of classes are to agree.

    Formula: with `P` the softened probabilities of a batch, `(batch, classes)`, the sum over `temperatures` of
    `instance_level * temperature^2 * KL(P_teacher || P_student)`,
    `batch_level * |P_student P_student' - P_teacher P_teacher'|^2 / batch` and
    `class_level * |P_student' P_student - P_teacher' P_teacher|^2 / classes`. The first two are per sample (of the
    second, row i is the part of sample i); the third is one number for the batch, and grows with its size squared.

    The published runs add the same losses for a strongly augmented view of the batch; this class takes the one batch
    that it is given.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        temperatures: Temperatures that both outputs are softened by, each above 0.
        instance_level: Weight of the outputs of each sample, at least 0.
        batch_level: Weight of the relations between samples, at least 0.
        class_level: Weight of the relations between classes, at least 0.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If there is no temperature, or one or a weight is out of range; and as `Distiller` does.

    Example:

    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> distiller = MLKDDistiller(teacher, student, temperatures=[2.0, 4.0])
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)

    Source: Jin, Wang and Lin, "Multi-Level Logit Distillation", CVPR 2023.
    """

    kind = "response"
    reads = "logits"
    default_label_weight = 0.1
    default_distillation_weight = 0.9

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        temperatures: Sequence[float] = (2.0, 3.0, 4.0, 5.0, 6.0),
        instance_level: float = 1.0,
        batch_level: float = 1.0,
        class_level: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.temperatures = [
            check_positive("temperatures", temperature) for temperature in check_list("temperatures", temperatures)
        ]
        if not self.temperatures:
            raise ValueError(f"`temperatures` must hold one or more. Received: temperatures={temperatures!r}")
        self.instance_level = check_weight("instance_level", instance_level)
        self.batch_level = check_weight("batch_level", batch_level)
        self.class_level = check_weight("class_level", class_level)

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        levels = self.instance_level, self.batch_level, self.class_level
        return mlkd_loss(teacher["logits"], student["logits"], self.temperatures, *levels)
