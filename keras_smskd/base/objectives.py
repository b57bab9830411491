"""What several distillers want of one student, measured on batches without changing anything."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_smskd.base.batch import Batch
from keras_smskd.base.distiller import Distiller
from keras_smskd.features import LOGITS, FeatureExtractor, Features, precision
from keras_smskd.losses import MeanLoss

Tensor = Any


class Pass:
    """One pass of teachers and student for distillers that show them the same of a batch.

    Args:
        distillers: The distillers, one or more.
    """

    def __init__(self, distillers: Sequence[Distiller]) -> None:
        self.distillers = tuple(distillers)
        self.first = distillers[0]
        pairs = [pair for distiller in distillers for pair in distiller.matched_layers]
        self.teachers = self.first._teachers.reading([path for path, _ in pairs])
        self.student = FeatureExtractor(self.first.student, [path for _, path in pairs], "student")

    def __call__(self, x: Tensor) -> tuple[list[Features], Features]:
        """What the teachers, and the student in inference mode, output for a batch."""
        student = self.first._views_of(x, lambda x: [self.student(x, training=False)])[0]
        return self.first._views_of(x, self.teachers), student


class Objectives(keras.Model):
    """The distillation losses of distillers of one teacher and one student, without weights, `(distillers,)`.

    Teacher and student run once a batch for all distillers; once more for each that makes views or preprocesses the
    teacher's inputs in another way. What distillers write while they compute (memories, seeds, batch statistics of
    projectors) is dropped.

    Args:
        distillers: The distillers, one or more.
    """

    def __init__(self, distillers: Sequence[Distiller]) -> None:
        super().__init__(autocast=False)
        self.distillers = list(distillers)
        self.needs_index = any(distiller.needs_index for distiller in distillers)
        self._passes = _passes(distillers)
        self._mean = MeanLoss()
        self.built = True

    def means(self, batches: Iterable[tuple[Any, Any, Any]]) -> np.ndarray:
        """The mean over all samples of some batches `(x, y, sample_weight)`, one at least."""
        sums, samples = np.zeros(len(self.distillers)), 0
        for x, y, sample_weight in batches:
            size = len(keras.tree.flatten(x)[0])
            batch = {"x": x, "y": y, "sample_weight": sample_weight}
            sums += size * self.predict_on_batch({name: value for name, value in batch.items() if value is not None})
            samples += size
        if not samples:
            raise ValueError("`data` must give one batch or more. Received: a source without any")
        return sums / samples

    def call(self, x: dict[str, Any], training: bool | None = None) -> Tensor:
        """The losses for a batch, whose `x`, `y` and `sample_weight` are in the dict."""
        batch, y, sample_weight = Batch.of(x["x"], self.needs_index), x.get("y"), x.get("sample_weight")
        with keras.StatelessScope([(variable, ops.convert_to_tensor(variable)) for variable in self.variables]):
            losses = {id(each): value for run in self._passes for each, value in _losses(run, batch, y)}
        size = ops.shape(keras.tree.flatten(batch.inputs)[0])[0]
        means = [self._mean.of(losses[id(each)], size, sample_weight) for each in self.distillers]
        return ops.stack([ops.cast(mean, precision()) for mean in means])


def _passes(distillers: Sequence[Distiller]) -> tuple[Pass, ...]:
    """Passes for all distillers, as few as can be."""
    together: dict[Any, list[Distiller]] = {}
    for distiller in distillers:
        way = id(distiller) if distiller.views > 1 else id(distiller.teacher_preprocessing)
        together.setdefault(way, []).append(distiller)
    return tuple(map(Pass, together.values()))


def _losses(run: Pass, batch: Batch, y: Tensor) -> list[tuple[Distiller, Tensor]]:
    """The loss of each distiller of a pass; NaN for one that needs to know which sample is which, and cannot."""
    teachers, student = run(batch.inputs)
    unknown = ops.full(ops.shape(student[LOGITS])[:1], float("nan"))
    return [
        (each, unknown if each.needs_index and batch.index is None else each.objective(batch, teachers, student, y))
        for each in run.distillers
    ]
