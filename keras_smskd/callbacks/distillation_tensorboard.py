"""TensorBoard logs of a whole run, on every backend."""

import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_smskd.callbacks import event_files
from keras_smskd.callbacks.epoch_histograms import EpochHistograms
from keras_smskd.checks import check_directory
from keras_smskd.plan import WEIGHTS, describe

CHARTS = {
    "Loss terms": ["^loss$", "^label_loss$", "^distillation_loss$", "^reference_loss$"],
    "Weights": [f"^{weight}$" for weight in WEIGHTS],
    "Stage": ["^stage$"],
}


class DistillationTensorBoard(EpochHistograms):
    """Writes the course of a distillation for TensorBoard; needs the `tensorboard` package, not TensorFlow.

    One step is one epoch, continued over all stages. Every epoch logs, under their own names in the run `train`, the
    loss and its terms, the metrics, the three weights, `learning_rate`, the number of the `stage`, and in stages with a
    reference the histograms `tcp` (true class probability) and `sample_reference_weight`; in the run `validation`, the
    loss and the metrics of validation data. A custom-scalars layout puts the terms into one chart; hparams describe
    the run, one trial with the metrics of both; the text `stages` is its plan.

    Args:
        log_dir: Directory of the logs, one for each run. The HParams page compares runs whose directories stand below
            that given to `tensorboard --logdir`.
        hparams: Dict of further hyperparameters to describe the run by: numbers, strings and booleans.

    Raises:
        ImportError: If the `tensorboard` package is not installed.

    Example:

    >>> import tempfile
    >>> from keras_smskd import KDDistiller
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> distiller = KDDistiller(teacher, student)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> callback = DistillationTensorBoard(tempfile.mkdtemp())
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), callbacks=[callback], verbose=0)
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "logs", hparams: dict[str, Any] | None = None) -> None:
        super().__init__()
        event_files.require("DistillationTensorBoard")
        self.log_dir = os.fspath(check_directory("log_dir", log_dir))
        self.hparams = _checked(hparams or {})
        self.stage = 0
        self._files = {run: event_files.EventFile(os.path.join(self.log_dir, run)) for run in ("train", "validation")}
        self._sequence: Any = None

    def on_sequence_begin(self, sequence: Any) -> None:
        """Describes a run of several stages."""
        self._sequence = sequence
        self.stage = 0
        self._describe(sequence.plan())

    def on_sequence_end(self) -> None:
        """Closes the files of a run of several stages."""
        self._sequence = None
        self._close()

    def on_train_begin(self, logs: Any = None) -> None:
        self.stage += 1
        if self._sequence is None:
            self._describe([describe(self.model)])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        model = self.model
        weights = {name: float(getattr(model, name).numpy()) for name in WEIGHTS if hasattr(model, name)}
        rate = {"learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))}
        for name, value in _single({"stage": self.stage, **rate, **weights, **(logs or {})}):
            run = "validation" if name.startswith("val_") else "train"
            self._files[run].write(event_files.scalar(name.removeprefix("val_"), value), epoch)
        for name, table in self.histograms.items():
            self._files["train"].write(event_files.histogram(name, table), epoch)
        for file in self._files.values():
            file.flush()

    def on_train_end(self, logs: Any = None) -> None:
        if self._sequence is None:
            self._close()

    def _describe(self, plan: list[dict[str, Any]]) -> None:
        train = self._files["train"]
        train.write(event_files.layout(CHARTS))
        train.write(event_files.text("stages", _markdown(plan)))
        stages = {f"stage_{i + 1}_{name}": _in_words(v) for i, stage in enumerate(plan) for name, v in stage.items()}
        name = os.path.basename(os.path.abspath(self.log_dir))
        top = event_files.EventFile(self.log_dir)  # Above both runs, whose metrics are then those of one trial.
        top.write(event_files.hparams({**stages, **self.hparams}, name))
        top.close()

    def _close(self) -> None:
        for file in self._files.values():
            file.close()


def _single(logs: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Name and value of every log; one of several numbers, such as a metric per class, becomes `name/0`, `name/1`..."""
    for name, value in logs.items():
        if isinstance(value, str):
            continue
        values = np.ravel(value).tolist()
        names = [name] if np.ndim(value) == 0 else [f"{name}/{index}" for index in range(len(values))]
        yield from zip(names, values, strict=True)


def _checked(hparams: Any) -> dict[str, Any]:
    if not isinstance(hparams, dict) or not all(
        isinstance(value, bool | int | float | str) for value in hparams.values()
    ):
        raise TypeError(f"`hparams` must be a dict of numbers, strings and booleans. Received: hparams={hparams!r}")
    return dict(hparams)


def _in_words(value: Any) -> Any:
    """A list as a string, since hparams take none."""
    return str(list(value)) if isinstance(value, list | tuple) else value


def _markdown(plan: list[dict[str, Any]]) -> str:
    """A table with one column per stage."""
    names = list(dict.fromkeys(name for stage in plan for name in stage))
    rows = [[name, *(_cell(stage.get(name, "")) for stage in plan)] for name in names]
    head = [["stage", *(str(i + 1) for i in range(len(plan)))], ["---"] * (len(plan) + 1)]
    return "\n".join("|".join(["", *row, ""]) for row in head + rows)


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
