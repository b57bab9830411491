"""The reference: a frozen copy of the student, and the loss that holds the student near it."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_smskd.arrays import are_arrays
from keras_smskd.checks import check_positive, check_weighting
from keras_smskd.copies import take_over
from keras_smskd.features import LOGITS, FeatureExtractor, example_inputs
from keras_smskd.ops import dense_labels, softened_divergence

Tensor = Any
Weighting = Callable[[Tensor, Tensor], Tensor]


def true_class_probability(logits: Tensor, y: Tensor) -> Tensor:
    """True class probability (TCP): the probability that a model gives to the true class of each sample.

    Formula: `softmax(logits)[y]`; with one-hot or soft labels `sum_c y_c softmax(logits)_c`. Always at temperature 1.

    Args:
        logits: `(batch, classes)`.
        y: Class ids `(batch,)` or `(batch, 1)`, or probabilities `(batch, classes)`.

    Returns:
        `(batch,)`, from 0 to 1.

    Example:

    >>> logits = keras.ops.log(keras.ops.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> [f"{probability:.1f}" for probability in true_class_probability(logits, keras.ops.array([0, 0]))]
    ['0.9', '0.2']

    Source: Tian et al., "Integrating Knowledge Distillation Methods: A Sequential Multi-Stage Framework",
    arXiv:2601.15657.
    """
    return ops.sum(dense_labels(y, logits) * ops.softmax(logits, axis=-1), axis=-1)


def tcp_weighting(teacher_logits: Tensor, y: Tensor) -> Tensor:
    """`1 - TCP`: a sample that the teacher knows is free to learn, one that it does not know keeps what it has."""
    return 1.0 - true_class_probability(teacher_logits, y)


def uniform_weighting(teacher_logits: Tensor, y: Tensor) -> Tensor:
    """The same reference weight, 1, for every sample."""
    return ops.ones_like(teacher_logits[:, 0])


WEIGHTINGS: dict[str, Weighting] = {"tcp": tcp_weighting, "uniform": uniform_weighting}


def get_weighting(identifier: str | Weighting) -> Weighting:
    """Returns the weighting rule of that name, or `identifier` itself if it is a callable."""
    if callable(identifier):
        if not _takes_logits_and_labels(identifier):
            raise TypeError(
                f"`weighting` must be callable with `(teacher_logits, y)`. Received: weighting={identifier!r}"
            )
        return identifier
    if not isinstance(identifier, str) or identifier not in WEIGHTINGS:
        raise ValueError(
            f"`weighting` must be one of {sorted(WEIGHTINGS)} or a callable `(teacher_logits, y) -> (batch,)`. "
            f"Received: weighting={identifier!r}"
        )
    return WEIGHTINGS[identifier]


def _takes_logits_and_labels(function: Weighting) -> bool:
    try:
        inspect.signature(function).bind("teacher_logits", "y")
    except TypeError:
        return False
    except ValueError:  # What is written in C may not say what it takes.
        pass
    return True


def reference_loss(reference: Tensor, student: Tensor, weights: Tensor, temperature: float = 4.0) -> Tensor:
    """Loss that holds the student near the reference, per sample.

    Formula: `w_i * temperature^2 * KL(softmax(reference_i / temperature) || softmax(student_i / temperature))`.

    Args:
        reference: Logits of the reference, `(batch, classes)`.
        student: Logits of the student, `(batch, classes)`.
        weights: Weight of each sample, `(batch,)`.
        temperature: Above 0. The paper's value is not available to us; 4 is the usual one of response-based methods.

    Returns:
        `(batch,)`.

    Source: Tian et al., "Integrating Knowledge Distillation Methods: A Sequential Multi-Stage Framework",
    arXiv:2601.15657.
    """
    return ops.multiply(weights, softened_divergence(reference, student, temperature))


class Reference:
    """The frozen copy of the student as a stage left it, and how its loss is taken.

    Args:
        student: The built student to copy.
        temperature: Temperature of the reference loss, above 0.
        weighting: `"tcp"`, `"uniform"` or a callable `(teacher_logits, y) -> (batch,)`: the weight of each sample.
        student_factory: See `freeze_copy`.

    Raises:
        ValueError: If an argument is out of range, or the student cannot be copied.

    Example:

    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> reference = Reference(student)
    >>> _ = student.layers[0].bias.assign(keras.ops.ones(3))
    >>> reference.model.layers[0].bias.numpy().tolist(), student.layers[0].bias.numpy().tolist()
    ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        student: keras.Model,
        *,
        temperature: float = 4.0,
        weighting: str | Weighting = "tcp",
        student_factory: Callable[[], keras.Model] | None = None,
    ) -> None:
        self.temperature = check_positive("reference_temperature", temperature)
        self.weighting = get_weighting(weighting)
        self.student = student
        try:
            self.model = freeze_copy(student, student_factory)
        except ValueError as error:
            raise ValueError(
                f"`student` must be copied to make the reference. {error} Pass `student_factory=`, a function without "
                "arguments that returns a new, built model of the same architecture, or set `reference_weight=0`."
            ) from error
        self.logits = FeatureExtractor(self.model, [], "reference")
        self.outputs: Any = None

    def check(self, x: Any, y: Any) -> None:
        """Raises before the first stage if the weighting, which counts from the second one on, cannot take the labels.

        Batches from elsewhere than arrays and a `PyDataset` wait for the second stage.
        """
        if isinstance(x, keras.utils.PyDataset):
            x, y, _ = keras.utils.unpack_x_y_sample_weight(x[0])
        if not are_arrays(x):
            return
        if y is None and self.weighting is tcp_weighting:
            raise ValueError("`y` must be given with `weighting='tcp'`. Received: y=None. Without labels: 'uniform'.")
        if self.weighting not in WEIGHTINGS.values():
            y = None if y is None else ops.convert_to_tensor(y[:2])
            logits = ops.convert_to_tensor(self.logits.example[LOGITS][: 2 if y is None else len(y)])
            check_weighting(self.weighting(logits, y), logits)

    def update(self) -> None:
        """Takes over the weights that the student has now."""
        take_over(self.model, self.student)
        self.model.trainable = False


def freeze_copy(student: keras.Model, factory: Callable[[], keras.Model] | None = None) -> keras.Model:
    """Returns a frozen copy of the student that computes what the student computes.

    Args:
        student: A built model.
        factory: Makes a new, built model of the student's architecture, for a student that `clone_model` cannot copy.

    Raises:
        ValueError: If the student cannot be copied, or its copy gives other outputs.
    """
    try:
        copy = keras.models.clone_model(student) if factory is None else factory()
        if {id(weight) for weight in copy.weights} & {id(weight) for weight in student.weights}:
            raise ValueError("the factory must return a new model, with weights of its own")
        x = example_inputs(student)
        copy(x, training=False)  # Builds the copy of a subclassed student.
        take_over(copy, student)
        expected, received = (ops.convert_to_numpy(model(x, training=False)) for model in (student, copy))
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(_cannot_copy(student, f"{type(error).__name__}: {why}")) from error
    if not np.allclose(
        expected, received, rtol=1e-3, atol=1e-3 * np.nanmax(np.abs(expected), initial=0), equal_nan=True
    ):
        raise ValueError(_cannot_copy(student, "the copy computes other outputs (does a `get_config` miss a value?)"))
    copy.trainable = False
    return copy


def _cannot_copy(model: keras.Model, why: str) -> str:
    return f"The model '{model.name}' cannot be copied ({why})."
