"""Callbacks that are none, or that cannot do here what they do elsewhere."""

import keras
import numpy as np

import keras_smskd as smskd
from tests.bad_input.world import fit, kd, sequence

Adaptive, Board = smskd.callbacks.AdaptiveReferenceWeight, smskd.callbacks.DistillationTensorBoard
HOLDS = "`callbacks` must hold callbacks. Received: "


def backup():
    return keras.callbacks.BackupAndRestore("backup")


def stage(callbacks):
    return smskd.Stage(kd(), callbacks=callbacks)


def board_in_a_file():
    with open("file", "w"):
        Board("file")


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
    "array as hyperparameter": (lambda: Board(hparams={"lr": [1, 2]}), TypeError, "`hparams` must .*'lr'"),
}
