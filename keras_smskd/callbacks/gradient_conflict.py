"""Measures whether the terms of the loss fight: the angles between their gradients."""

import functools
import itertools
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any

import keras
import numpy as np

from keras_smskd.arrays import are_arrays, check_samples
from keras_smskd.base.batch import Batch
from keras_smskd.base.distiller import Distiller
from keras_smskd.base.term_gradients import TermGradients
from keras_smskd.base.weighted_terms import DISTILLATION_TERM, LABEL_TERM, REFERENCE_TERM
from keras_smskd.checks import check_cosine

Gradients = dict[str, np.ndarray]

TERMS = (LABEL_TERM, DISTILLATION_TERM, REFERENCE_TERM)


class GradientConflict(keras.callbacks.Callback):
    """Measures after every epoch, on one batch, whether the terms of the loss pull the student in opposite directions.

    Formula: with `g_k` the gradient of a weighted term of the loss with respect to the student's trained variables,
    `cosine_a_b = <g_a, g_b> / (|g_a| |g_b|)`, from -1 (they fight) over 0 (they do not touch) to 1 (they agree), and
    `gradient_norm_k = |g_k|`. A conflict matters between terms whose norms are of like size.

    Logs, for the history and for callbacks that come after it:

    - `cosine_label_distillation`, `cosine_label_reference` and `cosine_distillation_reference`, of those terms that the
      stage has;
    - in a `JointDistiller` the cosine of every two of its methods, such as `cosine_CRD_VID`; of a method that is in it
      twice the second one is `KD_2`;
    - `gradient_norm_label`, `gradient_norm_distillation`, `gradient_norm_reference`, `gradient_norm_CRD`, ...

    A term without gradient, such as one of weight 0, has norm 0 and cosines 0; a gradient that is not finite gives NaN.
    The student's own regularisation is no term. At the end of a stage a warning names every pair whose cosine is, in
    the mean of the epochs, below `threshold`.

    The student runs in training mode and is left as it was, with all that training keeps: it is the same with and
    without the callback. On PyTorch that takes `fit(seed=...)`, or dropout layers with a `seed`: without, they draw
    from a generator that no one can put back, and other numbers for each term. An epoch costs about one more training
    step for each term, in a joint stage for each method, and a vector of the student's size in host memory; a stage
    costs one more compilation. A stage that does not train the student is left alone.

    Args:
        x: Inputs of the batch, an array or a structure of arrays. For methods that need to know which sample is which,
            such as CRD, a dict of "inputs" and "index", the positions of the samples in the training data; other stages
            take the inputs alone.
        y: Labels of the batch, as given to `fit`; None without labels.
        threshold: Mean cosine below which a pair is warned of, from -1 to 1.

    Attributes:
        cosines: Dict of log name to the cosines of the epochs of the stage so far.

    Raises:
        TypeError: If `x` or `y` are no arrays, or, when training begins, if what trains is no distiller.
        ValueError: If `threshold` is out of range; when training begins, if the batch does not fit a stage or misses
            the index that one needs.

    Example:

    >>> from keras_smskd import KDDistiller
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> distiller = KDDistiller(teacher, student)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> x, y = np.random.normal(size=(8, 4)), np.zeros(8)
    >>> history = distiller.fit(x, y, callbacks=[GradientConflict(x, y, threshold=-1.0)], verbose=0)
    >>> sorted(history.history)[:3]
    ['cosine_label_distillation', 'distillation_loss', 'gradient_norm_distillation']
    """

    def __init__(self, x: Any, y: Any = None, threshold: float = -0.1) -> None:
        super().__init__()
        self.batch = _checked(x, y)
        self.threshold = check_cosine("threshold", threshold)
        self.cosines: dict[str, list[float]] = {}
        self.columns: list[str] = []
        self._stages: Sequence[Any] = ()
        self._measure: Callable[[], Gradients] | None = None

    def on_sequence_begin(self, sequence: Any) -> None:
        """Checks the batch for all stages of a run, and notes what they are going to log."""
        self._stages = sequence.stages
        for stage in self._stages:
            self._check(stage.distiller)
            terms = [*stage.distiller.separate_terms, DISTILLATION_TERM]
            self.columns += [*names_of_cosines(terms), *map(name_of_norm, terms)]

    def on_sequence_end(self) -> None:
        """Forgets the stages."""
        self._stages, self.columns = (), []

    def on_train_begin(self, logs: Any = None) -> None:
        self._check(self.model)
        gradients = TermGradients(self.model)
        measure = functools.partial(gradients.of, self._x_of(self.model), self.batch[1])
        self._measure = measure if gradients.trainable_variables else None
        self.cosines = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._measure is None:
            return
        gradients = self._measure()
        for name, pair in names_of_cosines(gradients).items():
            logs[name] = cosine(*(gradients[term] for term in pair))
            self.cosines.setdefault(name, []).append(logs[name])
        logs.update({name_of_norm(term): _norm(gradient) for term, gradient in gradients.items()})

    def on_train_end(self, logs: Any = None) -> None:
        self._measure = None
        for name, cosines in self.cosines.items():
            if np.mean(cosines) < self.threshold:
                warnings.warn(
                    f"The gradients of two terms fight in {self._stage()}: `{name}` is {np.mean(cosines):.2f}, the "
                    f"mean of {len(cosines)} epochs, which is below `threshold={self.threshold:g}`. Train methods that "
                    "fight in stages of their own, or lower the weight of the term that matters less.",
                    stacklevel=2,
                )

    def _stage(self) -> str:
        stages = [
            f"stage {number} '{stage.name}'"
            for number, stage in enumerate(self._stages, 1)
            if stage.distiller is self.model
        ]
        return " or ".join(stages) or f"the training by {self.model.method}"

    def _x_of(self, distiller: Distiller) -> Any:
        batch = self.batch[0]
        return batch.packed() if distiller.needs_index else batch.inputs

    def _check(self, distiller: Any) -> None:
        if not isinstance(distiller, Distiller):
            raise TypeError(
                f"`callbacks` may hold a `GradientConflict` where a distiller trains. Received: {distiller!r} (of type "
                f"{type(distiller)})"
            )
        batch, y = self.batch
        if distiller.needs_index and batch.index is None:
            raise ValueError(
                f"`x` of `GradientConflict` must say which sample is which for {distiller.method}: give it a dict of "
                '"inputs", the batch, and "index", the positions of its samples in the training data. '
                "Received: the inputs alone."
            )
        distiller.check_batch(self._x_of(distiller), y)


def names_of_cosines(terms: Collection[str]) -> dict[str, tuple[str, str]]:
    """The pairs of terms to compare, by log name: of the terms of the loss, and of the methods of a joint one."""
    of_loss, of_methods = [term for term in TERMS if term in terms], [term for term in terms if term not in TERMS]
    pairs = [*itertools.combinations(of_loss, 2), *itertools.combinations(of_methods, 2)]
    return {"_".join(["cosine", *(term.removesuffix("_loss") for term in pair)]): pair for pair in pairs}


def name_of_norm(term: str) -> str:
    """The log name of the norm of a term's gradient."""
    return f"gradient_norm_{term.removesuffix('_loss')}"


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of the angle between two vectors, 0 if one of them is zero."""
    norms = _norm(a) * _norm(b)
    with np.errstate(invalid="ignore"):  # What is not finite gives NaN, as it should.
        return float(np.clip(a @ b / norms, -1.0, 1.0)) if norms else 0.0


def _norm(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))


def _checked(x: Any, y: Any) -> tuple[Batch, Any]:
    """The batch and its labels, if they are arrays of as many samples."""
    if not are_arrays(x):
        raise TypeError(f"`x` of `GradientConflict` must be one batch of arrays. Received: x of type {type(x)}")
    if not hasattr(y, "shape") and y is not None:
        raise TypeError(f"`y` of `GradientConflict` must be an array. Received: y of type {type(y)}")
    check_samples({"x": x, "y": y})
    batch = Batch.of(x, needs_index=True)
    if batch.index is not None and (len(batch.index.shape) != 1 or "int" not in str(batch.index.dtype)):
        raise ValueError(
            '`x["index"]` must hold the positions of the samples, whole numbers of shape (batch,). Received: shape '
            f"{tuple(batch.index.shape)} of dtype {batch.index.dtype}"
        )
    return batch, y
