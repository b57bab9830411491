"""The teachers of a distiller, one or several, and how much each of them counts for a sample."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_smskd import checks, model_checks
from keras_smskd.features import LOGITS, FeatureExtractor, Features, example_inputs, input_specs
from keras_smskd.reference import true_class_probability

Tensor = Any
Preprocessing = Callable[[Any], Any]

TEACHERS = "teachers"

# TCP below this counts as this: the weights of teachers that all fail a sample stay finite.
SMALLEST_TCP = 1e-7


def uniform(teachers: Sequence[Features], y: Tensor) -> Tensor:
    """Every teacher counts the same, `(teachers, batch)`."""
    return ops.stack([ops.ones_like(teacher[LOGITS][:, 0]) / len(teachers) for teacher in teachers])


def tcp(teachers: Sequence[Features], y: Tensor) -> Tensor:
    """A teacher counts by its true class probability for the sample, `(teachers, batch)`; they sum to 1."""
    known = ops.stack([true_class_probability(teacher[LOGITS], y) for teacher in teachers])
    known = ops.maximum(known, SMALLEST_TCP)
    return known / ops.sum(known, axis=0)


TEACHER_WEIGHTINGS = {"uniform": uniform, "tcp": tcp}


class Teachers:
    """One teacher or several with the same layers.

    Args:
        models: The teachers.
        paths: Paths of the layers that are read.
        student: The extractor of the student, whose inputs the teachers share.
        weighting: `"uniform"` or `"tcp"`.
        preprocessing: Makes the teachers' inputs from the student's; None if they are the same.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        paths: Sequence[str],
        student: FeatureExtractor,
        weighting: str,
        preprocessing: Preprocessing | None,
    ) -> None:
        self.weighting = TEACHER_WEIGHTINGS[checks.check_choice("teacher_weighting", weighting, TEACHER_WEIGHTINGS)]
        if not (preprocessing is None or callable(preprocessing)):
            raise TypeError(
                "`teacher_preprocessing` must be one function `x -> x`, for all teachers. Received: "
                f"teacher_preprocessing={preprocessing!r}"
            )
        self.preprocessing = preprocessing or (lambda x: x)
        self.paths = list(paths)
        self.reading = lambda paths: Teachers(models, list(dict.fromkeys(paths)), student, weighting, preprocessing)
        inputs = self._example_inputs(student.model)
        self.extractors = [FeatureExtractor(model, paths, "teacher", inputs) for model in models]
        model_checks.check_inputs(self.extractors, student, preprocessing)
        model_checks.check_same_shapes(self.extractors)

    def _example_inputs(self, student: keras.Model) -> Any:
        """What the student's inputs are to the teachers; None where the student leaves their size free."""
        sizes = [size for inputs in keras.tree.flatten(input_specs(student)) for size in inputs.shape[1:]]
        return None if None in sizes else self.preprocessing(example_inputs(student))

    @property
    def example(self) -> Features:
        """Features of two random samples: what shapes are read from."""
        return self.extractors[0].example

    def __call__(self, x: Any) -> list[Features]:
        """The features of every teacher, in inference mode and without gradient."""
        x = self.preprocessing(x)
        return [extractor.frozen(x) for extractor in self.extractors]

    def mean(self, losses: Sequence[Tensor], teachers: Sequence[Features], y: Tensor) -> Tensor:
        """The weighted mean of the losses towards each teacher."""
        if len(losses) == 1:
            return losses[0]
        weights = self.weighting(teachers, y)
        return sum(weights[index] * loss for index, loss in enumerate(losses))

    def logits(self, teachers: Sequence[Features], y: Tensor) -> Tensor:
        """Logits of the teachers as one: those of their weighted mean probabilities."""
        if len(teachers) == 1:
            return teachers[0][LOGITS]
        log_probabilities = ops.stack([ops.log_softmax(teacher[LOGITS], axis=-1) for teacher in teachers])
        return ops.logsumexp(log_probabilities + ops.log(self.weighting(teachers, y))[..., None], axis=0)
