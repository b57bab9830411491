"""What should cost nothing: compiling twice, logging, and the stages that are over.

    KERAS_BACKEND=tensorflow python -m benchmarks.waste

A first step of KD (ResNet-20 to ResNet-8) whose labels are known before and one whose are not, in turns; an epoch of
KD with a reference with and without `DistillationTensorBoard`, in turns; and the memory of the process at the end of
each of 20 stages, and of a student alone that is compiled and trained ten times. Writes benchmarks/waste.json.
"""

import argparse
import functools
import gc
import pathlib
import resource
import tempfile
from typing import Any

import keras

import keras_smskd as smskd
from benchmarks.training import BATCH_SIZE, label_loss, noise
from benchmarks.turns import Row, ratio, save, show, take_turns
from benchmarks.zoo.resnet import residual
from keras_smskd.reference import Reference

STAGES = 20

Rows = dict[str, Row]


def megabytes() -> float:
    """The memory that the process holds now."""
    gc.collect()
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


class Memory(keras.callbacks.Callback):
    """Reads the memory at the end of every epoch."""

    def __init__(self, what: str, rows: Rows) -> None:
        super().__init__()
        self.what, self.rows = what, rows

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.rows[f"{self.what} {epoch + 1}"] = {"megabytes": megabytes()}


def memory(x: Any, y: Any) -> Rows:
    """What the process holds at the end of every stage, and of a student alone at the end of every `fit`."""
    rows: Rows = {}
    teacher, student = residual(3), residual(1)
    sequence = smskd.SequentialDistiller([smskd.KDDistiller(teacher, student) for _ in range(STAGES)])
    sequence.compile("adam", label_loss())
    sequence.fit(x[:128], y[:128], batch_size=BATCH_SIZE, verbose=0, callbacks=[Memory("stage", rows)])
    alone = residual(1)
    for epoch in range(10):
        alone.compile("adam", label_loss())
        callback = Memory("alone", rows)
        alone.fit(x[:128], y[:128], initial_epoch=epoch, epochs=epoch + 1, verbose=0, callbacks=[callback])
    rows["student"] = {"megabytes": round(sum(4 * weight.numpy().size for weight in student.weights) / 1e6, 2)}
    return rows


def logging(x: Any, y: Any, rounds: int) -> Rows:
    """An epoch with `DistillationTensorBoard` and without."""
    distiller = smskd.KDDistiller(residual(3), residual(1))
    distiller.attach_reference(Reference(distiller.student))
    distiller.compile("sgd", label_loss(), metrics=["accuracy"])
    fit = functools.partial(distiller.fit, x, y, batch_size=BATCH_SIZE, verbose=0)

    def logged() -> None:
        with tempfile.TemporaryDirectory() as directory:
            fit(callbacks=[smskd.callbacks.DistillationTensorBoard(directory)])

    return {"logging": ratio(take_turns({"without": fit, "logging": logged}, rounds), "logging", "without")}


def first_step(x: Any, y: Any, rounds: int) -> Rows:
    """A first step, which is compiled: of arrays, and of a generator, whose labels are known in the step alone."""
    teacher, student = residual(3), residual(1)

    def fit(*data: Any) -> None:
        distiller = smskd.KDDistiller(teacher, student)
        distiller.compile("sgd", label_loss(), metrics=["accuracy"])
        distiller.fit(*data, verbose=0)

    batch = x[:BATCH_SIZE], y[:BATCH_SIZE]
    runs = {"generator": lambda: fit(each for each in [batch]), "arrays": lambda: fit(*batch)}
    return {"first step": ratio(take_turns(runs, rounds), "arrays", "generator")}


def main() -> None:
    """Measures them, the memory first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1920)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    x, y = noise(options.samples)
    rows = memory(x, y) | logging(x, y, options.rounds) | first_step(x, y, options.rounds)
    save(__file__, rows)
    show("Waste", rows)


if __name__ == "__main__":
    main()
