"""What later stages do to what earlier ones taught."""

import itertools
import os
from typing import Any

import keras
import numpy as np

from keras_smskd.base.objectives import Objectives
from keras_smskd.callbacks import event_files, heat_map
from keras_smskd.callbacks.held_out import HeldOut
from keras_smskd.checks import check_directory

TAG = "forgetting"


class ForgettingReport(keras.callbacks.Callback):
    """Measures, at the end of every stage, the objectives of all stages on held-out data.

    Formula: `matrix[i, j] = mean over samples of distillation_loss_j(teacher, student_i, y)`, the loss of stage j's
    method, without weights, for the student as stage i left it (best weights of `EarlyStopping` restored). With
    `own_j = matrix[j, j]` and the last finished stage n, `forgotten[j] = (matrix[n, j] - own_j) / |own_j|`: 0.5 is an
    objective that is half as large again as it was when its stage ended, below 0 one that later stages improved.

    Teacher and student run once a batch for all stages, in inference mode, and nothing changes: neither variables nor
    the random numbers of the training. Projectors compute as in training, with statistics of the batch. Right of the
    diagonal are stages yet to come: their projectors are untrained, and the numbers mean little. A method that compares
    samples depends on `batch_size`. A method that knows samples of the training data by index, such as CRD, is NaN
    unless `x` is a dict of `"inputs"` and `"index"`. Views that a method makes in the step, such as SSKD's
    rotations, are made here too, in a pass of their own.

    It belongs to the `callbacks` of `SequentialDistiller.fit`, whose history has the matrix as `forgetting`. With
    `backup_dir` a run that goes on has the rows of before.

    Args:
        data: Held-out data: `(x, y)` or `(x, y, sample_weight)`, or a source of such batches that ends and can be read
            again. The first batch is evaluated before training begins.
        batch_size: Samples of a batch, at least 1, if `data` are arrays.
        log_dir: Directory of TensorBoard logs, in which the heat map is the image `forgetting`, one step a stage; None
            for none.

    Attributes:
        matrix: The objectives, `(finished stages, stages)`.
        stages: Names of all stages.
        forgotten: The part by which each stage's objective rose from the end of the stage to that of the run,
            `(stages,)`; NaN for a stage that has not ended.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If `data` cannot be read again or do not fit the student, `batch_size` is out of range for a
            method, or it is a callback of a distiller or a stage.
        ImportError: If `log_dir` is given, and `tensorboard` or `matplotlib` is not installed.

    Example:

    >>> from keras_smskd import FitNetDistiller, KDDistiller, SequentialDistiller
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, name="hint"), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="guided"), keras.layers.Dense(3)])
    >>> hints = FitNetDistiller(teacher, student, layers={"hint": "guided"})
    >>> distiller = SequentialDistiller([hints, KDDistiller(teacher, student)])
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> report = ForgettingReport((np.ones((8, 4)), np.zeros(8)))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), callbacks=[report], verbose=0)
    >>> report.stages, history.forgetting.shape, report.forgotten.shape
    (['FitNet', 'KD'], (2, 2), (2,))
    """

    def __init__(self, data: Any, batch_size: int = 64, log_dir: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.data = HeldOut(data, batch_size)
        self.log_dir = None if log_dir is None else os.fspath(check_directory("log_dir", log_dir))
        self.matrix = np.empty((0, 0))
        self.stages: list[str] = []
        self._sequence: Any = None
        self._objectives: Any = None
        if self.log_dir is not None:
            event_files.require("ForgettingReport")
            heat_map.require()

    @property
    def forgotten(self) -> np.ndarray:
        """The part by which each stage's objective rose from the end of the stage to that of the run."""
        changes = self._changes()
        return changes[-1] if len(changes) else np.full(len(self.stages), np.nan)

    def figure(self) -> Any:
        """The matrix as a `matplotlib.figure.Figure`, each column coloured by its change since the end of its stage.

        Raises:
            ImportError: If `matplotlib` is not installed.
        """
        return heat_map.heat_map(self.matrix, self._changes(), self.stages)

    def on_sequence_begin(self, sequence: Any) -> None:
        """Begins a matrix, and evaluates the first batch."""
        distillers = [stage.distiller for stage in sequence.stages]
        objectives = Objectives(distillers)
        objectives.compile(run_eagerly=sequence.run_eagerly, jit_compile=sequence.jit_compile)
        try:
            self.data.check(objectives.needs_index, distillers)
            objectives.means(itertools.islice(self.data.batches(), 1))
        except Exception as error:
            raise ValueError(f"`data` of `ForgettingReport` cannot be evaluated: {error}") from error
        self._sequence, self._objectives = sequence, objectives
        self.stages = [stage.name for stage in sequence.stages]
        self.matrix = np.empty((0, len(self.stages)))

    def on_train_begin(self, logs: Any = None) -> None:
        if self._sequence is None:
            raise ValueError(
                "`ForgettingReport` belongs to the `callbacks` of `SequentialDistiller.fit`. Received: it is a "
                f"callback of {self.model.method} alone."
            )

    def on_stage_end(self, index: int) -> None:
        """Adds the row of a stage."""
        rows = np.full((index + 1, len(self.stages)), np.nan)  # Of stages before a resume with other callbacks.
        rows[: len(self.matrix)] = self.matrix
        rows[index] = self._objectives.means(self.data.batches())
        self.matrix = rows
        if self.log_dir is not None:
            file = event_files.EventFile(self.log_dir)
            file.write(event_files.image(TAG, heat_map.png(self.figure())), step=index + 1)
            file.close()

    def on_sequence_end(self) -> None:
        """Hands the matrix to the history of the run, and lets go of the compiled evaluation."""
        self._sequence.history.forgetting = self.matrix
        self._sequence = self._objectives = None

    def _changes(self) -> np.ndarray:
        """The change of each objective since the end of its stage, as a part of its value then."""
        own = np.full(len(self.stages), np.nan)
        own[: len(self.matrix)] = self.matrix.diagonal()
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.matrix - own) / np.abs(own)
