"""Whether a run that is killed at any moment ends with the same student, bit for bit, and trains no epoch needlessly.

    KERAS_BACKEND=tensorflow python -m benchmarks.kill_test --kills 100

Three stages with all that has a state: dropout and random flips, batch normalisation, Adam, shuffling, validation, a
memory bank, an adaptive reference weight, `ReduceLROnPlateau`, `EarlyStopping`. Each run is killed by SIGKILL at a
random moment, or in the middle of a random write, some of them twice, and then goes on to its end in a new process.
Every second run makes checkpoints within its epochs too, by `backup_every`.
Writes benchmarks/kill_test.json.
"""

import argparse
import functools
import hashlib
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_smskd as smskd
from benchmarks.turns import save, show

SAMPLES, CLASSES = 96, 4
EPOCHS = 4
EVERY = 2
WRITES = {None: 12, EVERY: 36}
"""About as many checkpoints are written in a whole run, without and with those within epochs."""

TWICE = 0.25
IN_WRITE = 0.25

Arm = Callable[[], None]


def kill() -> None:
    """Ends this process as a cable that is pulled."""
    os.kill(os.getpid(), signal.SIGKILL)


def after(seconds: float) -> None:
    """Kills this process at a moment."""
    threading.Timer(seconds, kill).start()


def in_write(number: int) -> None:
    """Kills this process in the middle of one of its checkpoints."""
    left, whole = [number], np.savez

    def savez(stream: Any, **arrays: np.ndarray) -> None:
        left[0] -= 1
        if not left[0]:
            stream.write(bytes(1000))
            stream.flush()
            kill()
        whole(stream, **arrays)

    np.savez = savez


def teacher() -> keras.Model:
    """Builds the teacher."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(6, 3, activation="relu", name="maps")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def student() -> keras.Model:
    """Builds the student, with all that draws random numbers."""
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.RandomFlip("horizontal")(x)
    x = keras.layers.Conv2D(4, 3, name="maps")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU()(x))
    x = keras.layers.Dropout(0.3)(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def sequence() -> smskd.SequentialDistiller:
    """Makes the compiled run."""
    teaching, learning = teacher(), student()
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=0.05, factor=0.5)
    weight = smskd.callbacks.AdaptiveReferenceWeight("adaptive", target=0.99)
    fitnet = smskd.FitNetDistiller(teaching, learning, layers={"maps": "maps"}, distillation_weight=1.0)
    crd = smskd.CRDDistiller(teaching, learning, layers={"pool": "pool"}, samples=SAMPLES)
    stages = [
        smskd.Stage(fitnet, EPOCHS),
        smskd.Stage(smskd.KDDistiller(teaching, learning), EPOCHS, callbacks=[plateau, weight]),
        smskd.Stage(crd, EPOCHS, callbacks=[stopping]),
    ]
    distiller = smskd.SequentialDistiller(stages)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return distiller


def trained(directory: pathlib.Path, every: int | None, arm: Arm) -> None:
    """The script of a user, but that it may kill itself and says what it does: epochs begun, digest of the student."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(SAMPLES, 8, 8, 1)).astype("float32"), generator.integers(0, CLASSES, SAMPLES)
    report = (directory.with_suffix(".log")).open("a", buffering=1)
    distiller = sequence()
    say = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: print("epoch", epoch, file=report))
    table = keras.callbacks.CSVLogger(str(directory.with_suffix(".csv")))
    arm()
    arguments: dict[str, Any] = {"batch_size": 16, "validation_split": 0.25, "verbose": 0}
    distiller.fit(x, y, backup_dir=directory, backup_every=every, callbacks=[say, table], **arguments)
    digest = hashlib.blake2b(digest_size=8)
    for variable in distiller.student.variables:
        digest.update(keras.ops.convert_to_numpy(variable.value).tobytes())
    print("student", digest.hexdigest(), file=report)


def process(directory: pathlib.Path, every: int | None, arm: Arm) -> list[str]:
    """Trains in a process of its own, which this one, that has computed nothing, is copied to; returns its report."""
    report = directory.with_suffix(".log")
    before = len(report.read_text().splitlines()) if report.exists() else 0
    child = os.fork()
    if not child:
        try:
            trained(directory, every, arm)
        except BaseException as error:  # noqa: BLE001, this process ends here whatever happens.
            report.open("a").write(f"error {type(error).__name__}: {error}\n")
        os._exit(0)
    os.waitpid(child, 0)
    return report.read_text().splitlines()[before:] if report.exists() else []


def epochs_of(report: list[str]) -> list[int]:
    """The epochs that a process began."""
    return [int(line.split()[1]) for line in report if line.startswith("epoch")]


class Undisturbed:
    """A run that nothing disturbs, with which those that are killed are compared.

    Args:
        folder: Where runs are kept.
        every: How many batches apart checkpoints are made within an epoch; None for none.
    """

    def __init__(self, folder: pathlib.Path, every: int | None) -> None:
        self.folder = folder
        self.every = every
        directory = folder / f"whole{every}"
        self.table = directory.with_suffix(".csv")
        start = time.perf_counter()
        self.report = process(directory, every, lambda: None)
        self.seconds = time.perf_counter() - start

    def killed(self, name: str) -> dict[str, Any]:
        """Kills such a run once or twice, lets it end, and compares: student, epochs and table."""
        directory = self.folder / name
        reports = []
        for _ in range(2 if random.random() < TWICE else 1):
            reports.append(process(directory, self.every, self._arm()))
        reports.append(process(directory, self.every, lambda: None))
        goes_on, begun = True, -1
        for report in reports:
            epochs = epochs_of(report)
            goes_on &= not epochs or epochs[0] in (begun, begun + 1)
            begun = epochs[-1] if epochs else begun
        return {
            "identical": [line for line in reports[-1] if not line.startswith("epoch")] == self.report[-1:],
            "table": directory.with_suffix(".csv").read_text() == self.table.read_text(),
            "goes on": goes_on,
            "epochs": " + ".join(str(len(epochs_of(report))) for report in reports),
            "again": sum(len(epochs_of(report)) for report in reports) - len(epochs_of(self.report)),
            "errors": [line for report in reports for line in report if line.startswith("error")],
        }

    def _arm(self) -> Arm:
        if random.random() < IN_WRITE:
            return functools.partial(in_write, random.randint(1, WRITES[self.every]))
        return functools.partial(after, random.uniform(0, self.seconds))


def main() -> None:
    """Kills runs and counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry", action="store_true", help="write no file")
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole = [Undisturbed(pathlib.Path(folder), every) for every in WRITES]
        runs = []
        for index in range(options.kills):
            runs.append(whole[index % len(whole)].killed(f"run{index}"))
            print(index, runs[-1], flush=True)
    counts = {name: sum(run[name] for run in runs) for name in ("identical", "table", "goes on")}
    row = {"runs": len(runs), **counts, "errors": sum(len(run["errors"]) for run in runs)}
    row["epochs"] = " or ".join(str(len(epochs_of(run.report))) for run in whole)
    row["most epochs again"] = max(run["again"] for run in runs)
    if not options.dry:
        save(__file__, {"killed": row})
    show("Killed", {"killed": row})
    sys.exit(min(counts.values()) < len(runs))


if __name__ == "__main__":
    main()
