"""FitNet: hints from the teacher's intermediate features."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_smskd.distillers.distiller import Distiller
from keras_smskd.features import Features
from keras_smskd.ops import flatten
from keras_smskd.projectors import Shape, projector

Tensor = Any


def fitnet_loss(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean squared difference of a hint and the projected feature, `(batch,)`; see `FitNetDistiller`."""
    if teacher.shape[1:] != student.shape[1:]:
        raise ValueError(f"A hint and a feature must have one shape. Received: {teacher.shape} and {student.shape}.")
    return ops.mean(ops.square(flatten(student) - flatten(teacher)), axis=-1)


@keras.saving.register_keras_serializable("keras_smskd")
class FitNetDistiller(Distiller):
    """FitNet (hints for thin deep nets): the student's projected features match the teacher's.

    Formula: `mean((projector(student) - teacher)^2)` over the entries of a feature, per sample, summed over the
    layers. The paper takes half of the squared norm; the published benchmark numbers, and this class, the mean.

    Vectors `(batch, size)`, sequences `(batch, length, size)` and maps `(batch, height, width, channels)` are matched;
    a projector for every pair, trained with the student and no part of it, maps the student's shape to the teacher's:
    dense, or for maps a convolution with batch normalisation and ReLU (see `keras_smskd.projectors`).

    Args:
        teacher: A built classifier that outputs logits.
        student: A built classifier of the same classes that outputs logits.
        layers: Dict of `{teacher_layer: student_layer}`.
        projector: Makes the projector from the shapes of a pair, `(teacher_shape, student_shape) -> keras.Model`; or
            None for none, where the shapes are equal. The default ends in ReLU and so fits hints taken after one;
            for others pass `functools.partial(keras_smskd.projectors.projector, activation=None)`.
        label_weight: Weight of the label loss.
        distillation_weight: Weight of the distillation loss; 100 is the published benchmarks'.
        name: Name of the model.

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

    def __init__(
        self,
        teacher: keras.Model,
        student: keras.Model,
        *,
        layers: dict[str, str],
        projector: Callable[[Shape, Shape], keras.Model] | None = projector,
        label_weight: float = 1.0,
        distillation_weight: float = 100.0,
        name: str | None = None,
    ) -> None:
        super().__init__(
            teacher,
            student,
            layers=layers,
            label_weight=label_weight,
            distillation_weight=distillation_weight,
            name=name,
        )
        make = projector or (lambda teacher_shape, student_shape: keras.layers.Identity())
        self.projector = projector
        self.projectors = [make(*shapes) for shapes in self.shape_pairs]
        self._check_projectors()

    def _check_projectors(self) -> None:
        for (teacher_shape, student_shape), project in zip(self.shape_pairs, self.projectors, strict=True):
            projected = tuple(project.compute_output_shape((None, *student_shape)))[1:]
            if projected != teacher_shape:
                raise ValueError(
                    f"`projector` must map the student's shape {student_shape} to the teacher's {teacher_shape}. "
                    f"Received: a projector to {projected}."
                )

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        pairs = zip(self.projectors, self.pairs(teacher, student), strict=True)
        projected = [(hint, project(feature, training=True)) for project, (hint, feature) in pairs]
        return sum(fitnet_loss(hint, ops.cast(feature, hint.dtype)) for hint, feature in projected)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "projector": keras.saving.serialize_keras_object(self.projector)}
