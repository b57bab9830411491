"""The step that a distiller is measured against: the necessary forward passes, the maths of the loss, the update."""

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

import keras_smskd as smskd
from benchmarks.training import label_loss
from keras_smskd.features import LOGITS, FeatureExtractor

Tensor = Any


class Ideal(keras.Model):
    """A step written by hand for one method, teacher, student and shape of batch.

    It takes the features out of Functional graphs of the models (or, where a layer is inside another one, as the
    package does), checks nothing, and has no metric but the loss.

    Args:
        distiller: Whose method, weights and projectors are taken over.
    """

    def __init__(self, distiller: smskd.Distiller) -> None:
        super().__init__(autocast=False)
        self.distiller = distiller
        distiller.teacher.trainable = False
        of_teacher, of_student = zip(*distiller.matched_layers, strict=True) if distiller.matched_layers else ((), ())
        self._teacher_features = features_of(distiller.teacher, of_teacher)
        self._student_features = features_of(distiller.student, of_student)
        self._cross_entropy = label_loss()
        self._weights = float(distiller.label_weight.numpy()), float(distiller.distillation_weight.numpy())
        trained = distiller.trainable_variables
        others = [variable for variable in self.variables if all(variable is not other for other in trained)]
        self._kept = types.SimpleNamespace(trained=trained, others=others)  # Where Keras does not track them again.
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The features of teacher and student."""
        inputs = x["inputs"] if self.distiller.needs_index else x
        shared = {"inputs": inputs, "index": x["index"] if self.distiller.needs_index else None}
        teacher, student = (
            {**self.distiller._views_of(inputs, functools.partial(features, training))[0], **shared}
            for features in (self._teacher, self._student)
        )
        return {"teacher": teacher, "student": student}

    def _teacher(self, training: bool | None, x: Any) -> Any:
        return [self._teacher_features(x, training=False)]

    def _student(self, training: bool | None, x: Any) -> Any:
        return [self._student_features(x, training=training)]

    def compute_loss(
        self, x: Any = None, y: Tensor = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The label loss and the method's."""
        distillation_loss = self.distiller.distillation_loss(**y_pred, y=y)
        label_weight, distillation_weight = self._weights
        distillation_loss = distillation_weight * self.distiller.warmup() * ops.mean(distillation_loss)
        return label_weight * self._cross_entropy(y, y_pred["student"][LOGITS]) + distillation_loss

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """Leaves the loss to `compute_loss`: Keras would build one that is never called in every `fit`."""
        super().compile(optimizer, **kwargs)

    def fit(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Gives the samples their index, if the method needs it."""
        return super().fit(self.distiller._with_index(x), *args, **kwargs)

    @property
    def trainable_variables(self) -> list[Any]:
        """The variables of the student and of the method."""
        return self._kept.trained

    @property
    def trainable_weights(self) -> list[Any]:
        """The same."""
        return self._kept.trained

    @property
    def non_trainable_variables(self) -> list[Any]:
        """All others."""
        return self._kept.others


def features_of(model: keras.Model, paths: Sequence[str]) -> Callable[..., dict[str, Tensor]]:
    """A function to logits and features."""
    if any("/" in path for path in paths):
        return FeatureExtractor(model, paths, role="model")
    outputs = {path: model.get_layer(path).output for path in paths if path != LOGITS}
    return keras.Model(model.inputs, {**outputs, LOGITS: model.output})
