"""FitNet: hints from the teacher's intermediate features."""

from typing import Any

import keras

from keras_smskd.base.distiller import Model
from keras_smskd.base.projected import ProjectedDistiller, Projector
from keras_smskd.features import Features
from keras_smskd.ops import mean_square
from keras_smskd.projectors import projector

Tensor = Any


def fitnet_loss(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean squared difference of a hint and the projected feature, `(batch,)`; see `FitNetDistiller`."""
    if teacher.shape[1:] != student.shape[1:]:
        raise ValueError(f"A hint and a feature must have one shape. Received: {teacher.shape} and {student.shape}.")
    return mean_square(student - teacher)


@keras.saving.register_keras_serializable("keras_smskd")
class FitNetDistiller(ProjectedDistiller):
    """FitNet (hints for thin deep nets): the student's projected features match the teacher's.

    Formula: `mean((projector(student) - teacher)^2)` over the entries of a feature, per sample, summed over the
    layers. The paper takes half of the squared norm; the published benchmark numbers, and this class, the mean.

    Vectors `(batch, size)`, sequences `(batch, length, size)` and maps `(batch, height, width, channels)` are matched;
    a projector for every pair, trained with the student and no part of it, maps the student's shape to the teacher's:
    dense, or for maps a convolution with batch normalisation and ReLU (see `keras_smskd.projectors`).

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`.
        projector: Makes the projector from the shapes of a pair, `(teacher_shape, student_shape) -> keras.Model`; or
            None for none, where the shapes are equal. The default ends in ReLU and so fits hints taken after one;
            for others pass `keras_smskd.projectors.affine_projector`.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a projector does not give the teacher's shape; and as `Distiller` does.

    Example:

    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, name="hint"), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="guided"), keras.layers.Dense(3)])
    >>> distiller = FitNetDistiller(teacher, student, layers={"hint": "guided"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)

    Source: Romero et al., "FitNets: Hints for Thin Deep Nets", arXiv:1412.6550.
    """

    default_distillation_weight = 100.0
    matches_sizes = False

    def __init__(
        self, teacher: Model = None, student: Model = None, *, projector: Projector | None = projector, **kwargs: Any
    ) -> None:
        super().__init__(teacher, student, projector=projector, **kwargs)

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        return sum(fitnet_loss(hint, feature) for hint, feature in self.projected(teacher, student))
