"""What teachers and reference output for a batch, under names: what a cache keeps of them."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_smskd.base.teachers import TEACHERS, Teachers
from keras_smskd.features import LOGITS, Features, precision
from keras_smskd.reference import Reference

Tensor = Any

REFERENCE = "reference"
OF_TEACHERS = "teachers/"


class OutputsOfTeachers(keras.Model):
    """The features of all teachers by path, `(batch, teachers, ...)`.

    Args:
        teachers: The teachers, with the layers that are read.
    """

    def __init__(self, teachers: Teachers) -> None:
        super().__init__(autocast=False)
        self._models = [extractor.model for extractor in teachers.extractors]
        self._teachers = teachers
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> dict[str, Tensor]:
        """The features of a batch."""
        return stacked(self._teachers(x))


class OutputsOfReference(keras.Model):
    """The logits of the reference.

    Args:
        reference: The reference.
    """

    def __init__(self, reference: Reference) -> None:
        super().__init__(autocast=False)
        self._model = reference.model
        self._reference = reference
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> dict[str, Tensor]:
        """The logits for a batch."""
        return {REFERENCE: self._reference.logits.frozen(x)[LOGITS]}


def outputs_of_reference(reference: Reference) -> OutputsOfReference:
    """The one model of the reference's logits, which is traced once."""
    if reference.outputs is None:
        reference.outputs = OutputsOfReference(reference)
    return reference.outputs


def stacked(teachers: Sequence[Features]) -> dict[str, Tensor]:
    """The features of teachers under the names that they have in a cache."""
    stack = np.stack if isinstance(teachers[0][LOGITS], np.ndarray) else ops.stack
    return {OF_TEACHERS + path: stack([each[path] for each in teachers], axis=1) for path in teachers[0]}


def known_of(knowledge: dict[str, Tensor]) -> dict[str, Any]:
    """What is cached for a batch in the form of what the models output: the features of every teacher apart."""
    known = {name: ops.cast(output, precision()) for name, output in knowledge.items()}
    of_teachers = {
        name.removeprefix(OF_TEACHERS): known.pop(name) for name in knowledge if name.startswith(OF_TEACHERS)
    }
    count = of_teachers[LOGITS].shape[1]
    return {TEACHERS: [{path: out[:, index] for path, out in of_teachers.items()} for index in range(count)], **known}
