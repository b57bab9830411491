"""What should cost nothing: logging, and the stages that are over.

    KERAS_BACKEND=tensorflow python -m benchmarks.waste

An epoch of KD with a reference (ResNet-20 to ResNet-8) with and without `DistillationTensorBoard`, in turns; and the
memory of the process at the end of each of 20 stages, and of a student alone that is compiled and trained ten times.
Writes benchmarks/waste.json.
"""

import argparse
import functools
import gc
import pathlib
import resource
import tempfile

import keras

import keras_smskd as smskd
from benchmarks.training import BATCH_SIZE, label_loss, noise
from benchmarks.turns import ratio, save, show, take_turns
from benchmarks.zoo.resnet import residual
from keras_smskd.reference import Reference

STAGES = 20


def megabytes() -> float:
    """The memory that the process holds now."""
    gc.collect()
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


class Memory(keras.callbacks.Callback):
    """Reads the memory at the end of every epoch."""

    def __init__(self, what: str, rows: dict[str, dict[str, float]]) -> None:
        super().__init__()
        self.what, self.rows = what, rows

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.rows[f"{self.what} {epoch + 1}"] = {"megabytes": megabytes()}


def main() -> None:
    """Measures both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1920)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    x, y = noise(options.samples)
    distiller = smskd.KDDistiller(residual(3), residual(1))
    distiller.attach_reference(Reference(distiller.student))
    distiller.compile("sgd", label_loss(), metrics=["accuracy"])
    fit = functools.partial(distiller.fit, x, y, batch_size=BATCH_SIZE, verbose=0)

    def logged() -> None:
        with tempfile.TemporaryDirectory() as directory:
            fit(callbacks=[smskd.callbacks.DistillationTensorBoard(directory)])

    seconds = take_turns({"without": fit, "logging": logged}, options.rounds)
    rows = {"logging": ratio(seconds, "logging", "without")}
    teacher, student = residual(3), residual(1)
    sequence = smskd.SequentialDistiller([smskd.KDDistiller(teacher, student) for _ in range(STAGES)])
    sequence.compile("adam", label_loss())
    sequence.fit(x[:128], y[:128], batch_size=BATCH_SIZE, verbose=0, callbacks=[Memory("stage", rows)])
    alone = residual(1)
    for epoch in range(10):
        alone.compile("adam", label_loss())
        memory = Memory("alone", rows)
        alone.fit(x[:128], y[:128], initial_epoch=epoch, epochs=epoch + 1, verbose=0, callbacks=[memory])
    rows["student"] = {"megabytes": round(sum(4 * weight.numpy().size for weight in student.weights) / 1e6, 2)}
    save(__file__, rows)
    show("Waste", rows)


if __name__ == "__main__":
    main()
