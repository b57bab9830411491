"""Directories of runs, attributes that are set, and files that are loaded."""

import pathlib

import numpy as np

from tests.bad_input.world import KD, fit, kd, sequence
from tests.models import dense


def backed_up(backup_dir="run", **arguments):
    return lambda: fit(sequence(), backup_dir=backup_dir, **arguments)


def sets(name, value):
    return lambda: setattr(kd(), name, value)


def loads(model, file="file.weights.h5"):
    def load():
        model().save_weights(file)
        kd().load_weights(file)

    return load


def in_a_file():
    pathlib.Path("run").touch()
    backed_up()()


def below_a_file():
    pathlib.Path("file").touch()
    backed_up("file/run")()


def configured(**changes):
    return lambda: KD.from_config({**kd().get_config(), **changes})


MISUSES = {
    "file as directory": (in_a_file, OSError, "`backup_dir` cannot be used"),
    "directory below a file": (below_a_file, OSError, "`backup_dir` cannot be used"),
    "empty path": (backed_up(""), ValueError, "`backup_dir` must.*backup_dir=''"),
    "number as directory": (backed_up(3), TypeError, "`backup_dir` must.*backup_dir=3"),
    "True as directory": (backed_up(True), TypeError, "`backup_dir` must.*backup_dir=True"),
    "resume": (backed_up(resume="maybe"), ValueError, r"`resume` must be .*resume='maybe'"),
    "resume None": (backed_up(resume=None), ValueError, "`resume` must be .*resume=None"),
    "resume without directory": (backed_up(None, resume="force"), ValueError, "`resume` needs a `backup_dir`"),
    "negative seed of a run": (backed_up(seed=-1), ValueError, "`seed` must be a whole number of at least 0.*seed=-1"),
    "seed of a run True": (backed_up(seed=True), ValueError, "`seed` must be a whole number.*seed=True"),
    "part of an epoch": (backed_up(steps_per_epoch=1), ValueError, "`steps_per_epoch` cuts arrays"),
    "teacher replaced": (sets("teacher", dense(8)), AttributeError, "`teacher` of a distiller cannot be replaced"),
    "teachers replaced": (sets("teachers", [dense(8)]), AttributeError, "`teachers` of a distiller cannot be replaced"),
    "student replaced": (sets("student", dense(3)), AttributeError, "`student` of a distiller cannot be replaced"),
    "reference replaced": (sets("reference", dense(3)), AttributeError, "`reference` of a distiller cannot be repl"),
    "student of a sequence replaced": (
        lambda: setattr(sequence(), "student", dense(3)),
        AttributeError,
        "`student` of a distiller cannot be replaced",
    ),
    "label weight set below 0": (sets("label_weight", -2), ValueError, "`label_weight` must .*label_weight=-2"),
    "weight set to NaN": (sets("distillation_weight", np.nan), ValueError, "`distillation_weight` must .*=nan"),
    "reference weight set to text": (sets("reference_weight", "1"), ValueError, "`reference_weight` must .*='1'"),
    "weight of a stage set below 0": (
        lambda: setattr(sequence().stages[1].distiller, "reference_weight", -1),
        ValueError,
        "`reference_weight` must .*=-1",
    ),
    "weights of a wider student": (loads(lambda: dense(5)), ValueError, "`filepath` must hold .* left as it was"),
    "weights of other classes": (
        loads(lambda: dense(3, classes=5)),
        ValueError,
        "`filepath` must hold .* left as it w",
    ),
    "weights in a file without ending": (lambda: kd().save_weights("weights"), ValueError, "`.weights.h5`"),
    "file without ending": (lambda: kd().save("student"), ValueError, "`.keras`"),
    "configuration with a number out of range": (configured(temperature=0), ValueError, "`temperature` must"),
    "configuration without teacher": (configured(teacher=None), ValueError, "One of `teacher` and `teachers` must"),
}
