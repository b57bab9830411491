"""Teachers and student in one Keras model, each run once in a training step, with the features of matched layers."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from keras_smskd import checks, model_checks
from keras_smskd.base.batch import Batch
from keras_smskd.base.teachers import TEACHERS, Teachers
from keras_smskd.base.trains_some import TrainsSome
from keras_smskd.features import LOGITS, FeatureExtractor, Features
from keras_smskd.layouts import LAYOUTS, as_they_come
from keras_smskd.replicas import replicas
from keras_smskd.student_model import StudentModel

Tensor = Any
Pairs = list[tuple[Any, Any]]

VIEWS, KNOWN = "views", "known"


class TappedModel(TrainsSome, StudentModel):
    """A student next to its teachers, with layers matched. Only the student and what a subclass adds is trained.

    Args:
        teachers: Built classifiers that output logits, one or more.
        student: A built classifier of the same classes that outputs logits.
        layers: Dict of `{teacher_layer: student_layer}`.
        teacher_weighting: How much each of several teachers counts.
        teacher_preprocessing: Makes the teachers' inputs from the student's.
        name: Name of the model.
    """

    reads: str | None = None
    """What the method reads: `"logits"` outputs alone; `"features"` of layers, in any shape; `"maps"`, `"sequences"` or
    `"levels"` (maps, with vectors as maps of size 1x1), to which features of another layout are brought; None leaves
    `layers` to the user."""

    needs_index = False
    """Whether the method needs the index of every sample in the training data."""

    given_index = False
    """Whether the data have that index for another stage."""

    trains_student = True
    """Whether training moves the student; a stage may prepare something else for the next one."""

    views = 1
    """Number of views of a sample that `augment` makes, the sample itself included."""

    def __init__(
        self,
        teachers: Sequence[keras.Model],
        student: keras.Model,
        layers: dict[str, str] | None,
        teacher_weighting: str,
        teacher_preprocessing: Callable[[Any], Any] | None,
        name: str | None,
    ) -> None:
        for teacher in teachers:
            model_checks.check_models(teacher, student)
        super().__init__(student, name=name)
        self._teacher_models = list(teachers)
        self.teacher_weighting = teacher_weighting
        self.teacher_preprocessing = teacher_preprocessing
        self.layer_pairs = checks.check_layers(layers, self.reads, self.method)
        self._tap(list(self.layer_pairs.items()))
        self.classes = model_checks.check_classifiers(*self._teachers.extractors, self._student_features)
        self.shape_pairs = self._shape_pairs()
        self._modes = threading.local()  # Replicas are threads.
        self._frozen: frozenset[int] = frozenset()
        self._freeze()

    @property
    def _mode(self) -> str | None:
        return getattr(self._modes, "mode", None)

    @property
    def method(self) -> str:
        """Name of the method, such as `"FitNet"`."""
        return type(self).__name__.removesuffix("Distiller")

    @property
    def teachers(self) -> tuple[keras.Model, ...]:
        """The models that are learned from."""
        return tuple(self._teacher_models)

    @property
    def teacher(self) -> keras.Model:
        """The model that is learned from; of several the first."""
        return self.teachers[0]

    def _tap(self, matched_layers: Sequence[tuple[str, str]]) -> None:
        self.matched_layers = tuple(matched_layers)
        self._student_features = FeatureExtractor(self.student, [path for _, path in matched_layers], "student")
        self._teachers = Teachers(
            self.teachers,
            [path for path, _ in matched_layers],
            self._student_features,
            self.teacher_weighting,
            self.teacher_preprocessing,
        )

    def pairs(self, teacher: Mapping[str, Any], student: Mapping[str, Any]) -> Pairs:
        """The matched features of teacher and student in the layout that the method `reads`, in order of `layers`."""
        as_read = LAYOUTS.get(self.reads or "", as_they_come)
        return [(as_read(teacher[path]), as_read(student[of_student])) for path, of_student in self.layer_pairs.items()]

    def _shape_pairs(self) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """The shapes of the `pairs`, without the batch axis."""
        pairs = self.pairs(self._teachers.example, self._student_features.example)
        return tuple((tuple(teacher.shape[1:]), tuple(student.shape[1:])) for teacher, student in pairs)

    def augment(self, x: Any) -> Any:
        """The views of every sample of a batch, row `views * i` sample i itself. For methods that declare `views`."""
        raise NotImplementedError(f"{type(self).__name__} has {self.views} views and must define `augment(x)`.")

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The student's outputs; inside a training step its features and what is known, each from one forward pass.

        The student comes last: its activations are kept for the backward pass, those of frozen models are not.
        """
        batch = self._batch(x)
        if self._mode != "train":
            return super().call(batch.inputs, training=training)
        known = self._known(batch)
        student = self._views_of(batch.inputs, lambda x: [self._student_features(x, training=training)])[0]
        return {**student, KNOWN: known}

    def _known(self, batch: Batch) -> dict[str, Any]:
        """What the frozen models output for a batch."""
        return {TEACHERS: self._views_of(batch.inputs, self._teachers)}

    @property
    def losses(self) -> list[Any]:
        """The losses that the layers add, but for those of frozen models."""
        losses = super().losses
        of_frozen = {id(loss) for model in self._frozen_models for loss in model.losses} if losses else set()
        return [loss for loss in losses if id(loss) not in of_frozen]

    @property
    def _frozen_models(self) -> Sequence[keras.Model]:
        return self.teachers

    def _freeze(self) -> None:
        """Notes the variables that never train, whatever their flags say, since every step asks for the others.

        Those of a reference that was attached before stay among them, since Keras goes on tracking it.
        """
        self._frozen |= {id(variable) for model in self._frozen_models for variable in model.variables}

    def _views_of(self, x: Any, extract: Callable[[Any], list[Features]]) -> list[Features]:
        """The features of a batch; with several views those of all of them too, from the same forward pass."""
        if self.views == 1:
            return extract(x)
        return [
            {**{path: feature[:: self.views] for path, feature in features.items()}, VIEWS: features}
            for features in extract(self.augment(x))
        ]

    def _parts_of(self, x: Any) -> Batch:
        return Batch.of(x, self.needs_index or self.given_index)

    def _batch(self, x: Any) -> Batch:
        """The `x` of a batch, taken apart."""
        batch = self._parts_of(x)
        if self.needs_index and batch.index is None and self._mode == "train":
            raise ValueError(
                f"{self.method} needs to know which sample is which. Give `fit` arrays, or a source whose `x` is a "
                'dict of "inputs", the batch, and "index", the positions of its samples in the training data.'
            )
        return batch

    def _with_index(self, x: Any) -> Any:
        """Arrays with the index of every sample, which Keras then shuffles with them, if the method needs it."""
        arrays = keras.tree.flatten(x)
        has_index = self._parts_of(x).index is not None
        if not self.needs_index or has_index or not all(hasattr(array, "shape") for array in arrays):
            return x
        if replicas().processes > 1:
            raise ValueError(
                f"{self.method} needs to know which sample is which, and each process has a part of them. Give `fit` "
                '{"inputs": ..., "index": ...} as `x`, with the positions of its samples in the training data of all.'
            )
        return Batch(x, np.arange(len(arrays[0]), dtype="int32")).packed()

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        with self.in_mode("train"):
            return super().train_step(*args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        with self.in_mode("test"):
            return super().test_step(*args, **kwargs)

    def compute_metrics(self, x: Any, y: Tensor, y_pred: Any, sample_weight: Tensor = None) -> dict[str, Tensor]:
        """The compiled metrics, computed from the student's logits."""
        logits = y_pred[LOGITS] if isinstance(y_pred, dict) else y_pred
        return super().compute_metrics(x, y, logits, sample_weight)

    @contextmanager
    def in_mode(self, mode: str) -> Iterator[None]:
        """Makes `call` return what a step of that mode needs, `"train"` or `"test"`, until the context ends."""
        before, self._modes.mode = self._mode, mode
        try:
            yield
        finally:
            self._modes.mode = before

    @property
    def trainable_variables(self) -> list[Any]:
        """The variables of student and projectors; teacher and reference never train."""
        return [variable for variable in super().trainable_variables if id(variable) not in self._frozen]

    @property
    def own_variables(self) -> list[Any]:
        """The variables of student and method; those of teacher and reference never change."""
        return [variable for variable in self.variables if id(variable) not in self._frozen]

    def build_optimizer(self) -> None:
        """Makes what the optimizer remembers of every variable, if it is not there: TensorFlow does so in a step."""
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    @property
    def changing_variables(self) -> list[Any]:
        """The variables that a training step may change, those of the optimizer among them."""
        return [*self.own_variables, *self.optimizer.variables]

    def get_weights(self) -> list[Any]:
        """The weights that are no frozen model's, as arrays: what `EarlyStopping` keeps."""
        return [weight.numpy() for weight in self._own_weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Gives the weights of `get_weights` their values."""
        received, expected = ([tuple(each.shape) for each in given] for given in (weights, self._own_weights))
        if received != expected:
            raise ValueError(f"`weights` must be arrays of the shapes {expected}. Received: shapes {received}")
        for weight, value in zip(self._own_weights, weights, strict=True):
            weight.assign(value)

    @property
    def _own_weights(self) -> list[Any]:
        return [weight for weight in self.weights if id(weight) not in self._frozen]
