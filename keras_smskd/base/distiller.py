"""Distiller: the base of every method, and what a user calls."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras

from keras_smskd import checks, model_checks
from keras_smskd.base.arguments import KeptArguments, check_known
from keras_smskd.base.built import BuiltBefore
from keras_smskd.base.caching import Caching
from keras_smskd.base.data_check import DataCheck
from keras_smskd.base.epoch_counter import EpochCounter, in_front
from keras_smskd.base.finite import ON_NONFINITE, FiniteCheck, NonFiniteError
from keras_smskd.base.fit_checks import OF_SEQUENCES, check_arguments, check_data, check_finite, check_names
from keras_smskd.base.kept_variables import KeptVariables
from keras_smskd.base.repeatable import repeatable
from keras_smskd.base.replicated import SameSteps
from keras_smskd.base.rest_of_epoch import fit_rest
from keras_smskd.base.skipping import skipping
from keras_smskd.features import Features
from keras_smskd.losses import as_loss, check_compile, check_labels_of_loss
from keras_smskd.replicas import check_fit

Tensor = Any
Model: TypeAlias = keras.Model | None


class Distiller(KeptArguments, Caching):
    """Trains a student from a teacher by one method; the base class of all methods.

    Formula:

        loss = label_weight * mean(label_loss) + distillation_weight * mean(distillation_loss)
             + reference_weight * mean(reference_loss) + the student's own regularisation losses

    where `label_loss` is the compiled loss. `sample_weight` and `class_weight` multiply every term. A training step
    runs the student once and the teacher once. `evaluate`, `predict`, `save`, `save_weights`, `load_weights` and
    `export` are the student's alone: no teacher is called or saved (the function `keras.saving.save_model` is not).

    A method is a subclass with a `distillation_loss`. The layers that it reads are declared in `layers`. Of several
    teachers, which need the same layers and feature shapes, the distillation losses are averaged for each sample.

    Args:
        teacher: A built classifier that outputs logits. It is never changed.
        student: A built classifier of the same classes that outputs logits. It is what is trained.
        teachers: List of several teachers, in place of `teacher`.
        layers: Dict of `{teacher_layer: student_layer}`, the features to match. A layer inside a nested model is a
            path such as `"backbone/stage3"`; `"logits"` is the output of a model.
        teacher_weighting: How much each of several teachers counts for a sample: `"uniform"`, or `"tcp"` by its true
            class probability.
        teacher_preprocessing: Function `x -> x` that makes all teachers' inputs from the student's, written with
            `keras.ops`, such as a resizing layer. Default: both take the same.
        label_weight: Weight of the label loss, at least 0. Like the other two weights it is a variable: set it at any
            time, with no retrace. Default: the method's published one.
        distillation_weight: Weight of the distillation loss, at least 0. Default: the method's published one.
        warmup_epochs: Number of epochs over which the distillation loss fades in, `min((epoch + 1) / warmup_epochs,
            1)`; 0 for none.
        name: Name of the model.

    Raises:
        TypeError: If teacher or student is no `keras.Model`, or an argument is unknown.
        ValueError: If teacher and student are not built, share weights, end in a softmax or differ in classes or
            inputs, if a layer is unknown or does not fire exactly once, if its features are not what the method
            reads, or if a number is out of range.

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

    kind = "response"
    """What knowledge the method carries: `"response"`, `"feature"` or `"relation"`."""

    smallest_batch = 1
    """The number of samples that the method needs in a batch: 1, more for methods that compare samples."""

    largest_batch: int | None = None
    """The number of samples that the method can take in a batch, if that is limited."""

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        teachers: Sequence[keras.Model] | None = None,
        layers: dict[str, str] | None = None,
        teacher_weighting: str = "uniform",
        teacher_preprocessing: Callable[[Any], Any] | None = None,
        label_weight: float | None = None,
        distillation_weight: float | None = None,
        warmup_epochs: float = 0,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        check_known(type(self), unknown)
        models = model_checks.check_teachers(teacher, teachers)
        super().__init__(models, student, layers, teacher_weighting, teacher_preprocessing, name)
        self._add_terms(label_weight, distillation_weight, warmup_epochs)
        self._data_check = DataCheck(self)

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        """The loss of the method. THE hook of a subclass.

        Args:
            teacher: Dict of the teacher's `"logits"` and features by layer path, without gradient; its `"inputs"` are
                the batch.
            student: The same of the student.
            y: Labels as given to `fit`.

        Returns:
            The loss of each sample, `(batch,)`, so that sample weights apply. A scalar is allowed.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `distillation_loss(teacher, student, y)`.")

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: None = None,
        metrics: Any = None,
        *,
        on_nonfinite: str = "raise",
        gather: bool = False,
        **kwargs: Any,
    ) -> None:
        """Configures the training, as `keras.Model.compile` does.

        Args:
            optimizer: Name or instance of an optimizer.
            loss: The label loss, such as `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`.
            loss_weights: Must be None: set `label_weight` instead.
            metrics: List of metrics, computed from the student's logits.
            on_nonfinite: What a loss does that is NaN or infinite: `"raise"` ends `fit` with a `FloatingPointError` and
                gives the student the weights of the last whole epoch back; `"skip_batch"` leaves the batch out, as if
                it had not been there, at the price of a copy of all variables a step, and counts it in the logs.
            gather: Whether replicas that each see a part of the batch bring their parts together for the distillation
                loss: for methods that compare the samples of a batch. On JAX, and on one device, they do anyway.
            **kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            TypeError: If `gather` is no boolean.
            ValueError: If `loss` expects probabilities, or is missing although `label_weight` is not 0, or
                `loss_weights` is given.
        """
        check_compile(loss, loss_weights, label_weight=float(self.label_weight.numpy()))
        self.on_nonfinite = checks.check_choice("on_nonfinite", on_nonfinite, ON_NONFINITE)
        self.gather = checks.check_boolean("gather", gather)
        self._freeze()
        super().compile(optimizer=checks.check_optimizer(optimizer), loss=loss, metrics=metrics, **kwargs)
        self._label_loss = None if loss is None else as_loss(loss)
        if on_nonfinite == "skip_batch":
            self.build_optimizer()  # A step must know all that it may change.

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        *,
        cache: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the student, as `keras.Model.fit` does, with all of its arguments and data sources.

        Args:
            x: Training data, as the further arguments.
            y: Labels: class ids, one-hot or soft.
            batch_size: Samples per step.
            epochs: Number of epochs.
            verbose: As in `keras.Model.fit`.
            callbacks: List of callbacks.
            cache: True, a directory or a `Cache`: what the teachers output is computed once, before the first epoch,
                and fed with the batches.
            seed: Makes training repeat itself: in every epoch the order of arrays and the global random generators of
                Python, NumPy and the backend come from it.
            **kwargs: Further arguments of `keras.Model.fit`.

        Returns:
            The history.

        Raises:
            TypeError: If an argument is unknown, or of a type that cannot be trained with.
            ValueError: If data do not fit the student, one another or the loss, or arrays hold numbers that are not
                finite and whose batches are not left out; if labels are no classes of the models, or the batches are
                too small for the method: before the first step for arrays, at the end of the first epoch for a source
                that must be iterated; if an argument is out of range.
            FloatingPointError: If the loss is not finite; see `compile`.
            NotImplementedError: Under `tf.distribute.MultiWorkerMirroredStrategy`.
        """
        check_fit(self)
        checks.check_count("epochs", epochs)
        check_names(Distiller.fit, kwargs, OF_SEQUENCES)
        check_arguments({"x": x, "y": y, "batch_size": batch_size, "seed": seed, **kwargs}, self.classes)
        if not self.data_is_checked:
            check_data(self._inputs_of(x), y, kwargs.get("sample_weight"), self.student)
            self._check_finite(x)
        self._data_check.array(y, batch_size or 32)
        check, kept = FiniteCheck(self), KeptVariables()
        same = SameSteps(x, kwargs.get("validation_data"), kwargs.get("validation_steps"))
        own = BuiltBefore(self, x, y), same, EpochCounter(self), self._data_check, check, kept
        arguments = {"epochs": epochs, "verbose": verbose, "callbacks": in_front(callbacks, *own), **kwargs}
        arguments.update(x=self._with_index(x), y=y, batch_size=batch_size)
        try:
            with self.trained_together(), self._with_knowledge(cache, arguments) as known, kept:
                arguments = known if seed is None else repeatable(known, seed)
                if self.first_batch:
                    return fit_rest(super().fit, self, arguments, self.first_batch)
                return super().fit(**arguments)
        except NonFiniteError as fault:
            raise check.error(fault, x) from None

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        step = functools.partial(super().train_step, **kwargs)
        return step(*args) if self.on_nonfinite == "raise" else skipping(self, step)(*args)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains on one batch, as `keras.Model.train_on_batch` does."""
        self.check_batch(x, y, sample_weight)
        return super().train_on_batch(x, y, sample_weight, *args, **kwargs)

    def check_batch(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        """Raises unless a batch of arrays is such as this distiller can train on."""
        check_data(self._inputs_of(x), y, sample_weight, self.student)
        self._check_finite(x)
        self._data_check.array(y, batch_size=None)
        if self._label_loss is not None:
            check_labels_of_loss(self._label_loss, y, self.classes)
        if self._reference is not None:
            self._reference.check(self._inputs_of(x), y)

    def _check_finite(self, x: Any) -> None:
        """Raises for arrays with numbers that are not finite, unless their batches are left out."""
        if self.on_nonfinite == "raise":
            check_finite(self._inputs_of(x))
