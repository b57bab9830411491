"""KD: knowledge distillation by softened outputs."""

from typing import Any

import keras

from keras_smskd.checks import check_positive
from keras_smskd.distillers.distiller import Distiller
from keras_smskd.features import Features
from keras_smskd.ops import softened_divergence

Tensor = Any


def kd_loss(teacher: Tensor, student: Tensor, temperature: float = 4.0) -> Tensor:
    """Divergence of the softened outputs of teacher and student, `(batch,)`; see `KDDistiller`."""
    return softened_divergence(teacher, student, temperature)


@keras.saving.register_keras_serializable("keras_smskd")
class KDDistiller(Distiller):
    """Knowledge Distillation (KD): the student matches the teacher's outputs, softened by a temperature.

    Formula: `temperature^2 * KL(softmax(teacher / temperature) || softmax(student / temperature))` of the logits
    `(batch, classes)`, per sample.

    Args:
        teacher: A built classifier that outputs logits.
        student: A built classifier of the same classes that outputs logits.
        temperature: Softens both outputs, above 0; 1 leaves them as they are.
        label_weight: Weight of the label loss. The defaults 0.1 and 0.9 are those of the published benchmarks.
        distillation_weight: Weight of the distillation loss.
        name: Name of the model.

    Raises:
        ValueError: If `temperature` is not above 0; and as `Distiller` does.

    Example:

    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> distiller = KDDistiller(teacher, student, temperature=4.0)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
    """

    def __init__(
        self,
        teacher: keras.Model,
        student: keras.Model,
        *,
        temperature: float = 4.0,
        label_weight: float = 0.1,
        distillation_weight: float = 0.9,
        name: str | None = None,
    ) -> None:
        super().__init__(
            teacher, student, label_weight=label_weight, distillation_weight=distillation_weight, name=name
        )
        self.temperature = check_positive("temperature", temperature)

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        return kd_loss(teacher["logits"], student["logits"], self.temperature)

    def hyperparameters(self) -> dict[str, Any]:
        return {**super().hyperparameters(), "temperature": self.temperature}
