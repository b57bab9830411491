"""What training with cached knowledge costs, relative to training the student alone.

    KERAS_BACKEND=tensorflow python -m benchmarks.cache

A ResNet-20 teaches a ResNet-8 by three stages: KD, SP and RKD on pooled features; FitNet reads whole feature maps.
Epochs of the student alone, of the stages and of the stages with cached knowledge take turns. A whole run is the epochs
of its stages, a pass of the teacher and a pass of the reference for each later stage; compiling is left out. Writes
benchmarks/cache.json.
"""

import argparse
import functools
from collections.abc import Callable

import keras
import numpy as np

import keras_smskd as smskd
from benchmarks.training import BATCH_SIZE, compiled, noise
from benchmarks.turns import CLOCKS, Row, Seconds, milliseconds, ratio, save, show
from benchmarks.zoo.resnet import residual
from keras_smskd.reference import Reference

METRICS = ["accuracy"]
EPOCHS = (30, 240)
POOL = {"layers": {"pool": "pool"}}
STAGES = {
    "KD": smskd.KDDistiller,
    "SP": functools.partial(smskd.SPDistiller, **POOL),
    "RKD": functools.partial(smskd.RKDDistiller, **POOL),
}
METHODS = {**STAGES, "FitNet, maps": functools.partial(smskd.FitNetDistiller, layers={"stage2": "stage2"})}


class EpochTimer(keras.callbacks.Callback):
    """Adds the seconds of every epoch but the first, which compiles."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        super().__init__()
        self.seconds = seconds
        self.starts: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.starts = {name: clock() for name, clock in CLOCKS.items()}

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        if epoch:
            for name, clock in CLOCKS.items():
                self.seconds[name].append(clock() - self.starts[name])


def stage(method: str, reference: bool) -> smskd.Distiller:
    """Makes the distiller of a stage, with a reference if it is not the first."""
    distiller = METHODS[method](residual(3), residual(1))
    if reference:
        distiller.attach_reference(Reference(distiller.student))
    return compiled(distiller, METRICS)


def passes(seconds: Seconds, x: np.ndarray, rounds: int) -> None:
    """Measures a pass of the teacher and one of the reference, as the cache makes them."""
    for name, model in (("teacher", residual(3)), ("reference", residual(1))):
        batches = np.split(x, len(x) // BATCH_SIZE)
        model.predict_on_batch(batches[0])
        for _ in range(rounds):
            starts = {clock: CLOCKS[clock]() for clock in CLOCKS}
            for batch in batches:
                model.predict_on_batch(batch)
            for clock, start in starts.items():
                seconds[f"pass of the {name}"][clock].append(CLOCKS[clock]() - start)


def measured(samples: int, rounds: int) -> Seconds:
    """Measures all epochs and passes, in turns."""
    x, y = noise(samples)
    runs: dict[str, Callable[..., object]] = {"alone": compiled(residual(1), METRICS).fit}
    for method in METHODS:
        distiller = stage(method, reference=method != "KD")
        runs[f"{method}, online"] = distiller.fit
        runs[f"{method}, cached"] = functools.partial(distiller.fit, cache=smskd.Cache())
    names = [*runs, "pass of the teacher", "pass of the reference"]
    seconds: Seconds = {name: {clock: [] for clock in CLOCKS} for name in names}
    for _ in range(rounds):
        for name, fit in runs.items():
            timer = EpochTimer(seconds[name])
            fit(x, y, batch_size=BATCH_SIZE, epochs=2, verbose=0, callbacks=[timer])
    passes(seconds, x, rounds)
    return seconds


def whole_runs(rows: dict[str, Row]) -> dict[str, Row]:
    """The cost of whole runs of three stages."""
    runs = {}
    for kind in ("online", "cached"):
        for epochs in EPOCHS:
            row = {}
            for clock in CLOCKS:
                epoch = np.mean([rows[f"{method}, {kind}"][clock] for method in STAGES])
                once = rows["pass of the teacher"][clock] + (len(STAGES) - 1) * rows["pass of the reference"][clock]
                row[clock] = round(float(epoch + (once / epochs if kind == "cached" else 0)), 3)
            runs[f"{epochs} epochs, {kind}"] = row
    return runs


def main() -> None:
    """Measures, prints a table and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    seconds = measured(options.samples, options.rounds)
    steps = options.samples // BATCH_SIZE
    rows = {
        name: {**ratio(seconds, name, "alone"), "milliseconds": milliseconds(seconds, name, steps)} for name in seconds
    }
    rows |= whole_runs(rows)
    save(__file__, rows)
    show("Relative to an epoch of the student alone", rows)


if __name__ == "__main__":
    main()
