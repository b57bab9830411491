"""Distiller: the base of every method. One student forward, one teacher forward, the weighted sum of the terms."""

import functools
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_smskd import checks
from keras_smskd.distillers.data_check import DataCheck
from keras_smskd.distillers.tapped_model import TappedModel
from keras_smskd.distillers.weight import Weight
from keras_smskd.features import LOGITS, Features, precision
from keras_smskd.losses import MeanLoss, as_loss
from keras_smskd.metrics import Histogram
from keras_smskd.reference import Reference, reference_loss, true_class_probability

Tensor = Any

LABEL_TERM = "label_loss"
REFERENCE_TERMS = ("reference_loss", "reference_agreement")
TERMS = (LABEL_TERM, "distillation_loss", *REFERENCE_TERMS)


class Distiller(TappedModel):
    """Trains a student from a teacher by one method; the base class of all methods.

    Formula:

        loss = label_weight * mean(label_loss) + distillation_weight * mean(distillation_loss)
             + reference_weight * mean(reference_loss) + the student's own regularisation losses

    where `label_loss` is the compiled loss. `sample_weight` and `class_weight` multiply every term. A training step
    runs the student once and the teacher once. `evaluate`, `predict`, `save`, `save_weights`, `load_weights` and
    `export` are the student's alone: no teacher is called or saved (the function `keras.saving.save_model` is not).

    A method is a subclass with a `distillation_loss`. The layers that it reads are declared in `layers`.

    Args:
        teacher: A built classifier that outputs logits. It is never changed.
        student: A built classifier of the same classes that outputs logits. It is what is trained.
        layers: Dict of `{teacher_layer: student_layer}`, the features to match. A layer inside a nested model is a
            path such as `"backbone/stage3"`; `"logits"` is the output of a model.
        label_weight: Weight of the label loss, at least 0. Like the other two weights it is a variable: set it at any
            time, with no retrace.
        distillation_weight: Weight of the distillation loss, at least 0.
        name: Name of the model.

    Raises:
        TypeError: If teacher or student is no `keras.Model`.
        ValueError: If teacher and student are not built, share weights, end in a softmax or differ in classes, if a
            layer is unknown or does not fire exactly once, or if a weight is negative or not finite.

    Example:

    >>> class MSEDistiller(Distiller):
    ...     def distillation_loss(self, teacher, student, y):
    ...         return keras.ops.mean((teacher["logits"] - student["logits"]) ** 2, axis=-1)
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> distiller = MSEDistiller(teacher, student, distillation_weight=0.5)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)
    >>> sorted(history.history)
    ['distillation_loss', 'label_loss', 'loss']
    """

    label_weight = Weight()
    distillation_weight = Weight()
    reference_weight = Weight()

    smallest_batch = 1
    """The number of samples that the method needs in a batch: 1, more for methods that compare samples."""

    def __init__(
        self,
        teacher: keras.Model,
        student: keras.Model,
        *,
        layers: dict[str, str] | None = None,
        label_weight: float = 1.0,
        distillation_weight: float = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(teacher, student, layers, name)
        self._reference: Reference | None = None
        self.label_weight = label_weight
        self.distillation_weight = distillation_weight
        self.reference_weight = 0.0
        self.tcp = Histogram(name="tcp")
        self.sample_reference_weight = Histogram(name="sample_reference_weight")
        self._terms = {term: keras.metrics.Mean(name=term) for term in TERMS}
        self._label_loss: keras.losses.Loss | None = None
        self._mean = MeanLoss()
        self._data_check = DataCheck(self)

    @property
    def method(self) -> str:
        """Name of the method, such as `"FitNet"`."""
        return type(self).__name__.removesuffix("Distiller")

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        """The loss of the method. THE hook of a subclass.

        Args:
            teacher: Dict of the teacher's `"logits"` and features by layer path, without gradient.
            student: The same of the student.
            y: Labels as given to `fit`.

        Returns:
            The loss of each sample, `(batch,)`, so that sample weights apply. A scalar is allowed.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `distillation_loss(teacher, student, y)`.")

    @property
    def reference(self) -> keras.Model | None:
        """The frozen copy of the student that this distiller is held near, if any; see `attach_reference`."""
        return self._reference.model if self._reference else None

    def attach_reference(self, reference: Reference | None, reference_weight: float = 1.0) -> None:
        """Adds the reference loss to this distiller, or takes it away (None). Compile it afterwards.

        Args:
            reference: What the student is held near.
            reference_weight: Weight of the reference loss, at least 0.
        """
        self._reference = reference
        self._reference_model = reference.model if reference else None  # Keras tracks models, no other objects.
        self.reference_weight = reference_weight if reference else 0.0

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: None = None,
        metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configures the training, as `keras.Model.compile` does.

        Args:
            optimizer: Name or instance of an optimizer.
            loss: The label loss, such as `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`.
            loss_weights: Must be None: set `label_weight` instead.
            metrics: List of metrics, computed from the student's logits.
            **kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: If `loss` expects probabilities, or is missing although `label_weight` is not 0, or
                `loss_weights` is given.
        """
        checks.check_compile(loss, loss_weights, label_weight=float(self.label_weight.numpy()))
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        self._label_loss = None if loss is None else as_loss(loss)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the student, as `keras.Model.fit` does, with all of its arguments and data sources.

        Raises:
            ValueError: If labels are no classes of the models, or if the batches are too small for the method: before
                the first step for arrays, at the end of the first epoch for a source that must be iterated.
        """
        checks.check_epochs(epochs)
        self._data_check.array(y, batch_size or 32)
        callbacks = self._data_check.before(callbacks)
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains on one batch, as `keras.Model.train_on_batch` does."""
        self._data_check.array(y, batch_size=None)
        return super().train_on_batch(x, y, *args, **kwargs)

    def compute_loss(
        self, x: Any = None, y: Tensor = None, y_pred: Any = None, sample_weight: Tensor = None, training: bool = True
    ) -> Tensor:
        """The weighted sum of the terms in a training step, otherwise the student's own loss."""
        if not isinstance(y_pred, dict):
            return self._evaluation_loss(x, y, y_pred, sample_weight, training)
        batch_size = ops.shape(y_pred[LOGITS])[0]
        self._data_check.step(y, batch_size)
        # Before the teacher is called, so that the losses are the student's own.
        share_of_replica = self._mean.of(ops.ones((), precision()), batch_size)
        loss = self._regularization() * share_of_replica
        for term, weight, value in self._weighted_terms(x, y, y_pred, sample_weight):
            loss += weight * value
            self._terms[term].update_state(value / share_of_replica, batch_size)
        return loss

    def _regularization(self) -> Tensor:
        """The student's own losses: regularisation and what its layers add."""
        return sum((ops.cast(ops.sum(loss), precision()) for loss in self.losses), start=ops.zeros((), precision()))

    def _evaluation_loss(self, x: Any, y: Tensor, y_pred: Tensor, *args: Any) -> Tensor:
        """The student's own loss, bit for bit; without a label loss its regularisation alone."""
        return self._regularization() if self._label_loss is None else super().compute_loss(x, y, y_pred, *args)

    def _weighted_terms(
        self, x: Any, y: Tensor, student: Features, sample_weight: Tensor
    ) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yields name, weight and mean of every term of the loss."""
        mean = functools.partial(self._mean.of, batch_size=ops.shape(student[LOGITS])[0], sample_weight=sample_weight)
        if self._label_loss is not None:
            label_loss = self._label_loss(y, student[LOGITS], sample_weight)
            yield LABEL_TERM, self.label_weight, ops.cast(label_loss, precision())
        teacher = self._teacher_features.frozen(x)
        values = self.distillation_loss(teacher, student, y)
        checks.check_distillation_loss(values, self.method)
        yield "distillation_loss", self.distillation_weight, mean(values)
        if self._reference is not None:
            values = self._reference_loss(self._reference, x, y, teacher, student)
            yield "reference_loss", self.reference_weight, mean(values)

    def _reference_loss(self, reference: Reference, x: Any, y: Tensor, teacher: Features, student: Features) -> Tensor:
        weights = reference.weighting(teacher[LOGITS], y)
        checks.check_weighting(weights, teacher[LOGITS])
        logits = reference.logits.frozen(x)[LOGITS]
        agree = ops.argmax(logits, axis=-1) == ops.argmax(student[LOGITS], axis=-1)
        self._terms["reference_agreement"].update_state(ops.cast(agree, precision()))
        if y is not None:
            self.tcp.update_state(true_class_probability(teacher[LOGITS], y))
        self.sample_reference_weight.update_state(weights)
        return reference_loss(logits, student[LOGITS], weights, reference.temperature)

    def get_metrics_result(self) -> dict[str, Tensor]:
        """Results of all metrics; a term of the loss is among them only where it was computed."""
        hidden = set(TERMS) if self._mode == "test" else set()
        hidden |= set(REFERENCE_TERMS) if self.reference is None else set()
        hidden |= {LABEL_TERM} if self._label_loss is None else set()
        return {name: result for name, result in super().get_metrics_result().items() if name not in hidden}

    def hyperparameters(self) -> dict[str, Any]:
        """The numbers, strings and booleans that the distiller was made with; a method adds its own."""
        return {
            "label_weight": float(self.label_weight.numpy()),
            "distillation_weight": float(self.distillation_weight.numpy()),
        }
