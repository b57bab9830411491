"""Teacher and student in one Keras model, each run once in a training step, with the features of matched layers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from keras_smskd import checks
from keras_smskd.features import LOGITS, FeatureExtractor
from keras_smskd.student_model import StudentModel

Tensor = Any


class TappedModel(StudentModel):
    """A student next to its teacher, with layers matched. Only the student and what a subclass adds is trained.

    Args:
        teacher: A built classifier that outputs logits.
        student: A built classifier of the same classes that outputs logits.
        layers: Dict of `{teacher_layer: student_layer}`.
        name: Name of the model.
    """

    def __init__(
        self, teacher: keras.Model, student: keras.Model, layers: dict[str, str] | None, name: str | None
    ) -> None:
        checks.check_models(teacher, student)
        super().__init__(student, name=name)
        self._teacher = teacher
        self.layer_pairs = checks.check_layers(layers)
        self._tap(list(self.layer_pairs.items()))
        self.classes = checks.check_classifiers(self._teacher_features, self._student_features)
        self._mode: str | None = None

    @property
    def teacher(self) -> keras.Model:
        """The model that is learned from."""
        return self._teacher

    def _tap(self, matched_layers: Sequence[tuple[str, str]]) -> None:
        self.matched_layers = tuple(matched_layers)
        self._teacher_features = FeatureExtractor(self.teacher, [path for path, _ in matched_layers], "teacher")
        self._student_features = FeatureExtractor(self.student, [path for _, path in matched_layers], "student")

    def pairs(self, teacher: Mapping[str, Any], student: Mapping[str, Any]) -> list[tuple[Any, Any]]:
        """The matched features (or shapes) of teacher and student, one pair for every entry of `layers`."""
        return [(teacher[path], student[of_student]) for path, of_student in self.layer_pairs.items()]

    @property
    def shape_pairs(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The shapes of the matched features of teacher and student, without the batch axis."""
        return self.pairs(self._teacher_features.shapes, self._student_features.shapes)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """The student's outputs; inside a training step its features as well, from the same forward pass."""
        if self._mode == "train":
            return self._student_features(x, training=training)
        return super().call(x, training=training)

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._in_mode("train"):
            return super().train_step(*args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._in_mode("test"):
            return super().test_step(*args, **kwargs)

    def compute_metrics(self, x: Any, y: Tensor, y_pred: Any, sample_weight: Tensor = None) -> dict[str, Tensor]:
        """The compiled metrics, computed from the student's logits."""
        logits = y_pred[LOGITS] if isinstance(y_pred, dict) else y_pred
        return super().compute_metrics(x, y, logits, sample_weight)

    @contextmanager
    def _in_mode(self, mode: str) -> Iterator[None]:
        self._mode = mode
        try:
            yield
        finally:
            self._mode = None

    @property
    def trainable_variables(self) -> list[Any]:
        """The variables of student and projectors; teacher and reference never train, whatever their flags say."""
        frozen = {id(variable) for variable in self.teacher.variables}
        return [variable for variable in super().trainable_variables if id(variable) not in frozen]

    @property
    def non_trainable_variables(self) -> list[Any]:
        trained = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in trained]

    @property
    def trainable_weights(self) -> list[Any]:
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Any]:
        trained = {id(weight) for weight in self.trainable_weights}
        return [weight for weight in self.weights if id(weight) not in trained]

    def hyperparameters(self) -> dict[str, Any]:
        """The numbers, strings and booleans that a method was made with."""
        return {}

    def get_config(self) -> dict[str, Any]:
        config = {
            "name": self.name,
            "teacher": keras.saving.serialize_keras_object(self.teacher),
            "student": keras.saving.serialize_keras_object(self.student),
            **self.hyperparameters(),
        }
        return {**config, "layers": dict(self.layer_pairs)} if self.layer_pairs else config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TappedModel":
        return cls(**{name: _deserialized(value) for name, value in config.items()})


def _deserialized(value: Any) -> Any:
    is_serialized = isinstance(value, dict) and "class_name" in value
    return keras.saving.deserialize_keras_object(value) if is_serialized else value
