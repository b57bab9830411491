"""The loss of a training step: the weighted sum of label, distillation and reference loss."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from keras_smskd import checks
from keras_smskd.base.batch import Batch
from keras_smskd.base.outputs import REFERENCE, known_of
from keras_smskd.base.replicated import Replicated
from keras_smskd.base.tapped_model import KNOWN
from keras_smskd.base.teachers import TEACHERS
from keras_smskd.base.weight import Weight, scalar
from keras_smskd.features import LOGITS, Features, precision
from keras_smskd.losses import MeanLoss, check_labels_of_loss
from keras_smskd.metrics import Count, Histogram
from keras_smskd.reference import Reference, reference_loss, true_class_probability
from keras_smskd.replicas import replicas

Tensor = Any

LABEL_TERM, DISTILLATION_TERM, REFERENCE_TERM = "label_loss", "distillation_loss", "reference_loss"
REFERENCE_TERMS = (REFERENCE_TERM, "reference_agreement")
TERMS = (LABEL_TERM, DISTILLATION_TERM, *REFERENCE_TERMS)
SKIPPED = "skipped_batches"


class WeightedTerms(Replicated):
    """The terms of a distiller's loss, their weights and their metrics; `Distiller` says what they are."""

    label_weight = Weight()
    distillation_weight = Weight()
    reference_weight = Weight()

    default_label_weight = 1.0
    default_distillation_weight = 1.0

    first_epoch = 0
    """Keras's number of the epoch with which the stage begins."""

    first_batch = 0
    """The batch of its first epoch with which `fit` begins, given a `seed`."""

    data_is_checked = False
    """Whether the data of `fit` are those of a stage before, which has checked them."""

    on_nonfinite = "raise"
    """What a loss that is not finite does; see `Distiller.compile`."""

    distillation_terms: Sequence[str] = (DISTILLATION_TERM,)
    """Names of the `separate_losses`, in their order."""

    _reference: Reference | None = None

    def _add_terms(self, label_weight: float | None, distillation_weight: float | None, warmup_epochs: float) -> None:
        weight = self.default_distillation_weight if distillation_weight is None else distillation_weight
        self.distillation_weight = weight
        self.label_weight = self.default_label_weight if label_weight is None else label_weight
        self.reference_weight = 0.0
        self.warmup_epochs = checks.check_weight("warmup_epochs", warmup_epochs)
        self.epoch = scalar(self, "epoch")
        self.tcp = Histogram(name="tcp")
        self.sample_reference_weight = Histogram(name="sample_reference_weight")
        self.skipped_batches = Count(name=SKIPPED)
        self._terms = {term: keras.metrics.Mean(name=term) for term in TERMS}
        self._label_loss: keras.losses.Loss | None = None
        self._mean = MeanLoss()

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

    @property
    def separate_terms(self) -> list[str]:
        """Names of the terms of the loss, with one for each of the `separate_losses`."""
        label = [] if self._label_loss is None else [LABEL_TERM]
        return [*label, *self.distillation_terms, *([] if self._reference is None else [REFERENCE_TERM])]

    def begin_epoch(self, epoch: int) -> None:
        """Tells the compiled step that so many epochs of the stage have passed; `fit` does so itself."""
        self.epoch.assign(epoch)

    def warmup(self) -> Tensor:
        """The part of the distillation weight that counts in this epoch."""
        part = ops.minimum((self.epoch + 1.0) / self.warmup_epochs, 1.0) if self.warmup_epochs else 1.0
        return ops.cast(part, precision())

    def compute_loss(
        self, x: Any = None, y: Tensor = None, y_pred: Any = None, sample_weight: Tensor = None, training: bool = True
    ) -> Tensor:
        """The weighted sum of the terms in a training step, otherwise the student's own loss."""
        if self._label_loss is not None:
            check_labels_of_loss(self._label_loss, y, self.classes)
        if not isinstance(y_pred, dict):
            return self._evaluation_loss(x, y, y_pred, sample_weight, training)
        batch_size = ops.shape(y_pred[LOGITS])[0]
        self._data_check.step(y, batch_size)
        share_of_replica = self._mean.of(ops.ones((), precision()), batch_size)
        loss = self._regularization() * share_of_replica
        for term, weight, value in self.weighted_terms(x, y, y_pred, sample_weight, gather=self.gather):
            loss += weight * value
            self._terms[term].update_state(value / share_of_replica, batch_size)
        return loss

    def _regularization(self) -> Tensor:
        """The student's own losses: regularisation and what its layers add."""
        return sum((ops.cast(ops.sum(loss), precision()) for loss in self.losses), start=ops.zeros((), precision()))

    def _evaluation_loss(self, x: Any, y: Tensor, y_pred: Tensor, *args: Any) -> Tensor:
        """The student's own loss, bit for bit; without a label loss its regularisation alone."""
        return self._regularization() if self._label_loss is None else super().compute_loss(x, y, y_pred, *args)

    def separate_losses(self, teacher: Features, student: Features, y: Tensor) -> dict[str, Tensor]:
        """The summands of the distillation loss by name: itself, unless several methods are joined."""
        return {DISTILLATION_TERM: self.distillation_loss(teacher, student, y)}

    def weighted_terms(
        self,
        x: Any,
        y: Tensor,
        y_pred: Any,
        sample_weight: Tensor = None,
        separate: bool = False,
        gather: bool = False,
    ) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yields name, weight and mean of every term of the loss, in a training step.

        Args:
            x: A batch.
            y: Its labels.
            y_pred: What the model returns for it in the mode of training.
            sample_weight: Weight of each sample.
            separate: Whether the `separate_losses` are terms of their own.
            gather: Whether the distillation loss is that of the whole batch, of which each replica has a part.
        """
        known, student = y_pred[KNOWN], {path: feature for path, feature in y_pred.items() if path != KNOWN}
        if self._label_loss is not None:
            label_loss = self._label_loss(y, student[LOGITS], sample_weight)
            yield LABEL_TERM, self.label_weight, ops.cast(label_loss, precision())
        parts: Any = self._batch(x), known[TEACHERS], student, y, sample_weight
        batch, teachers, compared, labels, weights = _gathered(*parts) if gather else parts
        mean = functools.partial(self._mean.of, batch_size=ops.shape(compared[LOGITS])[0], sample_weight=weights)
        for term, values in self._distillation_terms(batch, teachers, compared, labels, separate):
            yield term, self.distillation_weight * self.warmup(), mean(values)
        if self._reference is not None:
            of_teachers = self._teachers.logits(known[TEACHERS], y)
            values = self._reference_loss(self._reference, known[REFERENCE], y, of_teachers, student)
            yield REFERENCE_TERM, self.reference_weight, self._mean.of(values, None, sample_weight)

    def objective(self, batch: Batch, teachers: Sequence[Features], student: Features, y: Tensor) -> Tensor:
        """The distillation loss towards all teachers, without weight: `(batch,)` or a scalar."""
        return next(values for _, values in self._distillation_terms(batch, teachers, student, y, separate=False))

    def _distillation_terms(
        self, batch: Batch, teachers: Sequence[Features], student: Features, y: Tensor, separate: bool
    ) -> Iterator[tuple[str, Tensor]]:
        """Yields name and values of the distillation loss, or of its summands, averaged over the teachers."""
        student, teachers = batch.joined(student), [batch.joined(teacher) for teacher in teachers]
        if separate:
            towards = [self.separate_losses(teacher, student, y) for teacher in teachers]
        else:
            towards = [{DISTILLATION_TERM: self.distillation_loss(teacher, student, y)} for teacher in teachers]
        for term in towards[0]:
            losses = [of_teacher[term] for of_teacher in towards]
            checks.check_distillation_loss(losses, student[LOGITS], self.method)
            yield term, self._teachers.mean(losses, teachers, y)

    def _reference_loss(
        self, reference: Reference, logits: Tensor, y: Tensor, teacher: Tensor, student: Features
    ) -> Tensor:
        weights = reference.weighting(teacher, y)
        checks.check_weighting(weights, teacher)
        agree = ops.argmax(logits, axis=-1) == ops.argmax(student[LOGITS], axis=-1)
        self._terms["reference_agreement"].update_state(ops.cast(agree, precision()))
        if y is not None:
            self.tcp.update_state(true_class_probability(teacher, y))
        self.sample_reference_weight.update_state(weights)
        return reference_loss(logits, student[LOGITS], weights, reference.temperature)

    def _known(self, batch: Batch) -> dict[str, Any]:
        """What teachers and reference output for a batch, from the cache if it came with it."""
        if batch.knowledge is not None:
            return known_of(batch.knowledge)
        if self._reference is None:
            return super()._known(batch)
        return {**super()._known(batch), REFERENCE: self._reference.logits.frozen(batch.inputs)[LOGITS]}

    @property
    def _frozen_models(self) -> Sequence[keras.Model]:
        return self.teachers if self.reference is None else (*self.teachers, self.reference)

    def get_metrics_result(self) -> dict[str, Tensor]:
        """Results of all metrics; a term of the loss is among them only where it was computed."""
        hidden = set(TERMS) if self._mode == "test" else set()
        hidden |= set(REFERENCE_TERMS) if self.reference is None else set()
        hidden |= {LABEL_TERM} if self._label_loss is None else set()
        hidden |= {SKIPPED} if self.on_nonfinite == "raise" or self._mode == "test" else set()
        return {name: result for name, result in super().get_metrics_result().items() if name not in hidden}


def _gathered(batch: Batch, *parts: Any) -> tuple[Any, ...]:
    """A batch, and what belongs to it, of all replicas."""
    inputs, index, *whole = replicas().gathered((batch.inputs, batch.index, *parts))
    return Batch(inputs, index), *whole
