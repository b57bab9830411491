"""Callbacks that are none, or that cannot do here what they do elsewhere."""

import keras
import numpy as np

import keras_smskd as smskd
from tests.bad_input.world import (
    IMAGES,
    LABELS,
    STUDENT,
    TEACHER,
    Batches,
    X,
    Y,
    fit,
    kd,
    of_maps,
    relational,
    sequence,
)

Report = smskd.callbacks.ForgettingReport
Adaptive, Board = smskd.callbacks.AdaptiveReferenceWeight, smskd.callbacks.DistillationTensorBoard
Conflict = smskd.callbacks.GradientConflict
HOLDS = "`callbacks` must hold callbacks. Received: "


def backup():
    return keras.callbacks.BackupAndRestore("backup")


def stage(callbacks):
    return smskd.Stage(kd(), callbacks=callbacks)


def board_in_a_file():
    with open("file", "w"):
        Board("file")


def with_report(*arguments, stages=(), **options):
    return fit(sequence(*stages), callbacks=[Report(*arguments, **options)])


class NeedsLabels(smskd.KDDistiller):
    def distillation_loss(self, teacher, student, y):
        return super().distillation_loss(teacher, student, y) + 0 * y


def report_without_labels():
    with_report((X,), stages=[NeedsLabels(TEACHER, STUDENT)])


def conflict_without_distiller():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    model.compile("sgd", "mse")
    model.fit(X, np.ones((8, 4)), callbacks=[Conflict(X, Y)], verbose=0)


def conflict_without_index():
    crd = of_maps(smskd.CRDDistiller, {"pool": "pool"}, samples=8, negatives=2)
    fit(crd, IMAGES, LABELS, callbacks=[Conflict(IMAGES, LABELS)])


def conflict(x=X, y=Y):
    fit(sequence(), callbacks=[Conflict(x, y)])


MISUSES = {
    "text": (lambda: fit(kd(), callbacks=["early stopping"]), TypeError, f"{HOLDS}'early stopping'"),
    "text, of a sequence": (lambda: fit(sequence(), callbacks=["early stopping"]), TypeError, f"{HOLDS}'early stop"),
    "class": (lambda: fit(kd(), callbacks=[keras.callbacks.EarlyStopping]), TypeError, f"{HOLDS}<class"),
    "function": (lambda: fit(sequence(), callbacks=print), TypeError, f"{HOLDS}<built-in function print>"),
    "of a stage": (lambda: stage(["early stopping"]), TypeError, f"{HOLDS}'early stopping'"),
    "text, of a stage": (lambda: stage("early stopping"), TypeError, f"{HOLDS}'early stopping'"),
    "class, of a stage": (lambda: stage([keras.callbacks.EarlyStopping]), TypeError, f"{HOLDS}<class"),
    "backup of Keras": (
        lambda: fit(kd(), callbacks=[backup()]),
        ValueError,
        "`callbacks` must not hold .*BackupAndRes",
    ),
    "backup of Keras, of a sequence": (
        lambda: fit(sequence(), callbacks=[backup()]),
        ValueError,
        r"`callbacks` must not hold .*BackupAndRestore.*`SequentialDistiller.fit\(backup_dir=",
    ),
    "backup of Keras, of a stage": (lambda: stage([backup()]), ValueError, "`callbacks` must not hold .*BackupAndR"),
    "list of Keras": (
        lambda: fit(sequence(), callbacks=keras.callbacks.CallbackList()),
        TypeError,
        "`callbacks` must be a list of callbacks. Received: a `CallbackList`",
    ),
    "schedule": (lambda: Adaptive("exponential"), ValueError, "`schedule` must be one of .*schedule='exponential'"),
    "no schedule": (lambda: Adaptive(None), ValueError, "`schedule` must be one of .*schedule=None"),
    "number as schedule": (lambda: Adaptive(0.5), ValueError, "`schedule` must be one of .*schedule=0.5"),
    "list as schedule": (lambda: Adaptive(["linear"]), ValueError, "`schedule` must be one of"),
    "start": (lambda: Adaptive(start=-1.0), ValueError, "`start` must be .*start=-1.0"),
    "end": (lambda: Adaptive("linear", end="0"), ValueError, "`end` must be .*end='0'"),
    "target": (lambda: Adaptive(target=2.0), ValueError, "`target` must be .*from 0 to 1. Received: target=2.0"),
    "gain": (lambda: Adaptive(gain=np.nan), ValueError, "`gain` must be .*gain=nan"),
    "maximum": (lambda: Adaptive(maximum=np.inf), ValueError, "`maximum` must be .*maximum=inf"),
    "start above maximum": (lambda: Adaptive(start=20.0), ValueError, "`start` must be .*`maximum`.*start=20"),
    "no directory of logs": (lambda: Board(None), TypeError, "`log_dir` must be .*log_dir=None"),
    "number as directory of logs": (lambda: Board(3), TypeError, "`log_dir` must be .*log_dir=3"),
    "file as directory of logs": (board_in_a_file, OSError, "`log_dir` cannot be used.*the file 'file'"),
    "list of hyperparameters": (lambda: Board(hparams=["lr"]), TypeError, r"`hparams` must be a dict.*\['lr'\]"),
    "no held-out data": (lambda: Report(None), TypeError, "`data` must be .*NoneType"),
    "x as held-out data": (lambda: Report(X), TypeError, r"`data` must be \(x, y\).*ndarray"),
    "text as held-out data": (lambda: Report("val"), TypeError, "`data` must be .*str"),
    "four parts of held-out data": (lambda: Report((X, Y, Y, Y)), ValueError, "`data` must be .*4 parts"),
    "lists as held-out data": (lambda: Report((X.tolist(), Y)), TypeError, "`data` must hold arrays.*x of type"),
    "held-out data of two lengths": (lambda: Report((X, Y[:3])), ValueError, r"`data\[1\]` must have as many"),
    "generator as held-out data": (lambda: Report(batch for batch in [(X, Y)]), ValueError, "`data` is read at the"),
    "batch size of held-out data": (lambda: Report((X, Y), batch_size=0), ValueError, "`batch_size`.*batch_size=0"),
    "number as directory of a report": (lambda: Report((X, Y), log_dir=3), TypeError, "`log_dir` must be .*log_dir=3"),
    "held-out data of another shape": (
        lambda: with_report((X[:, :3], Y)),
        ValueError,
        "`data` of `ForgettingReport` cannot be evaluated: `x` must have the shape",
    ),
    "held-out batches of another shape": (
        lambda: with_report(Batches(X[:, :3])),
        ValueError,
        "`data` of `ForgettingReport` cannot be evaluated",
    ),
    "no held-out batch": (
        lambda: with_report(Batches(X[:3])),
        ValueError,
        "`data` of `ForgettingReport` cannot be evaluated: `data` must give one batch",
    ),
    "held-out labels": (
        lambda: with_report((X, Y + 9)),
        ValueError,
        "`data` of `ForgettingReport` cannot be evaluated: `y` must hold class ids",
    ),
    "no held-out labels": (report_without_labels, ValueError, "`data` of `ForgettingReport` cannot be evaluated"),
    "held-out sample alone": (
        lambda: with_report((X, Y), batch_size=1, stages=[relational()]),
        ValueError,
        "cannot be evaluated: `batch_size` must be at least 3 for RKD",
    ),
    "report of a distiller": (
        lambda: fit(kd(), callbacks=[Report((X, Y))]),
        ValueError,
        "`ForgettingReport` belongs to the `callbacks` of `SequentialDistiller.fit`.*callback of KD alone",
    ),
    "report of a stage": (
        lambda: fit(sequence(stage([Report((X, Y))]))),
        ValueError,
        "`ForgettingReport` belongs to the `callbacks` of `SequentialDistiller.fit`",
    ),
    "array as hyperparameter": (lambda: Board(hparams={"lr": [1, 2]}), TypeError, "`hparams` must .*'lr'"),
    "threshold": (lambda: Conflict(X, Y, threshold=-2), ValueError, "`threshold` must be .*-1 to 1.*threshold=-2"),
    "text as threshold": (lambda: Conflict(X, Y, threshold="-0.1"), ValueError, "`threshold` must .*threshold='-0.1'"),
    "source as batch": (lambda: Conflict(zip(X, Y, strict=True)), TypeError, "`x` of `GradientConflict` .*'zip'"),
    "no batch": (lambda: Conflict(None), TypeError, "`x` of `GradientConflict` must .* arrays. Received: .*NoneType"),
    "list as labels": (lambda: Conflict(X, list(Y)), TypeError, "`y` of `GradientConflict` must .* Received: .*list"),
    "labels of other samples": (lambda: Conflict(X, Y[:4]), ValueError, "`x`, `y` must have as many samples"),
    "index of fractions": (
        lambda: Conflict({"inputs": X, "index": np.ones(8)}, Y),
        ValueError,
        r'`x\["index"\]` must hold .*whole numbers.*dtype float64',
    ),
    "batch without index": (conflict_without_index, ValueError, '`x` of `GradientConflict` must say .*"index"'),
    "batch of another shape": (lambda: conflict(X[:, :3]), ValueError, "`x` must have the shape.*Received: .*3"),
    "batch with NaN": (lambda: conflict(X * np.nan), ValueError, "`x` must hold finite numbers"),
    "labels of other classes": (lambda: conflict(y=Y + 9), ValueError, "`y` must hold class ids"),
    "no labels": (lambda: conflict(y=None), ValueError, "`y` must be given for the label loss"),
    "conflict of no distiller": (conflict_without_distiller, TypeError, "`callbacks` may hold a `GradientConflict`"),
}
