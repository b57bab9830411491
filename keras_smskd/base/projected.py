"""ProjectedDistiller: the base of methods that compare features of one shape, mapped there by projectors."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.features import Features
from keras_smskd.layouts import as_maps
from keras_smskd.ops import match_sizes
from keras_smskd.projectors import Shape, pointwise_projector

Projector = Callable[[Shape, Shape], keras.Layer]


class ProjectedDistiller(Distiller):
    """A distiller with a projector for every pair of layers, trained with the student and no part of it.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        projector: Makes the projector from the shapes of a pair, `(teacher_shape, student_shape) -> keras.Layer`; None
            for none, where the shapes are equal.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a projector does not give the teacher's shape; and as `Distiller` does.

    Example:

    >>> class L1Distiller(ProjectedDistiller):
    ...     def distillation_loss(self, teacher, student, y):
    ...         return sum(keras.ops.mean(abs(hint - x), axis=-1) for hint, x in self.projected(teacher, student))
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, name="hint"), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="guided"), keras.layers.Dense(3)])
    >>> distiller = L1Distiller(teacher, student, layers={"hint": "guided"})
    >>> distiller.projectors[0].output_shape
    (None, 16)
    """

    kind = "feature"
    reads = "features"

    matches_sizes = True
    """Whether the larger one of two feature maps is average-pooled to the size of the smaller one first."""

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        projector: Projector | None = pointwise_projector,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        if not (projector is None or callable(projector)):
            raise TypeError(f"`projector` must be a function or None. Received: projector={projector!r}")
        self.projector = projector
        self.projectors = [self._make_projector(*shapes) for shapes in self.projected_shapes]

    @property
    def projected_shapes(self) -> list[tuple[Shape, Shape]]:
        """The shapes of the pairs that the projectors are made for, sizes matched."""
        return [self._matched_shapes(*shapes) for shapes in self.shape_pairs]

    def projected(self, teacher: Features, student: Features) -> list[tuple[Any, Any]]:
        """The teacher's features and the student's projected ones, sizes matched."""
        pairs = [self._matched(*pair) for pair in self.pairs(teacher, student)]
        return [
            (hint, ops.cast(project(feature, training=True), hint.dtype))
            for project, (hint, feature) in zip(self.projectors, pairs, strict=True)
        ]

    def _matched(self, teacher: Any, student: Any) -> tuple[Any, Any]:
        """The pair with sizes matched; a token sequence next to a map becomes a map."""
        ranks = {len(teacher.shape), len(student.shape)}
        if ranks not in ({4}, {3, 4}):
            return teacher, student
        pair = as_maps(teacher), as_maps(student)
        return match_sizes(*pair) if self.matches_sizes else pair

    def _matched_shapes(self, teacher: Shape, student: Shape) -> tuple[Shape, Shape]:
        matched = self._matched(*(ops.zeros((1, *shape)) for shape in (teacher, student)))
        return tuple(matched[0].shape[1:]), tuple(matched[1].shape[1:])

    def _make_projector(self, teacher_shape: Shape, student_shape: Shape) -> keras.Layer:
        project = self.projector(teacher_shape, student_shape) if self.projector else keras.layers.Identity()
        if not isinstance(project, keras.Layer):
            raise TypeError(f"`projector` must return a `keras.Layer`. Received: {project!r} (of type {type(project)})")
        projected = tuple(project.compute_output_shape((None, *student_shape)))[1:]
        if projected != teacher_shape:
            raise ValueError(
                f"`projector` must map the student's shape {student_shape} to the teacher's {teacher_shape}. "
                f"Received: a projector to {projected}."
            )
        return project
