"""Stages, sequences of them, references, and methods run jointly."""

import keras
import numpy as np
from keras import layers

import keras_smskd as smskd
from tests.bad_input.world import KD, STUDENT, TEACHER, X, Y, compiled, fit, kd, relational, sequence
from tests.models import CLASSES, dense


class Forgetful(layers.Layer):
    """A layer whose config forgets its factor, or that has none: its clone computes something else, or fails."""

    def __init__(self, config=None, factor=1.0, name=None):
        super().__init__(name=name)
        self.config = config
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {"name": self.name, "config": dict(self.config)}


def forgetful(config):
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(CLASSES)(Forgetful(config, 3.0)(inputs)))


def of_student(student, **arguments):
    return sequence(KD(TEACHER, student), KD(TEACHER, student), **arguments)


def stage(**arguments):
    return smskd.Stage(kd(), **arguments)


def joint(*distillers, **arguments):
    return smskd.JointDistiller(list(distillers) or [kd(), relational()], **arguments)


def views_of_its_own():
    class Mirrored(smskd.Distiller):
        views = 2

    class Turned(smskd.Distiller):
        views = 4

    return Mirrored(TEACHER, STUDENT), Turned(TEACHER, STUDENT)


MISUSES = {
    "stage without distiller": (lambda: smskd.Stage(None), TypeError, "`distiller` must be a `Distiller`.*None"),
    "stage of a model": (lambda: smskd.Stage(STUDENT), TypeError, "`distiller` must be a `Distiller`"),
    "stage of a class": (lambda: smskd.Stage(KD), TypeError, "`distiller` must be a `Distiller`"),
    "stage of a sequence": (lambda: smskd.Stage(sequence()), TypeError, "`distiller` must be a `Distiller`"),
    "misspelt argument of a stage": (
        lambda: stage(epoch=2),
        TypeError,
        "Stage has no argument `epoch`. Received: epoch=2. Did you mean `epochs`.* distiller, epochs, optimizer, ref",
    ),
    "misspelt argument of a sequence": (
        lambda: sequence(referenc_weight=2.0),
        TypeError,
        "SequentialDistiller has no argument `referenc_weight`. Received: .*=2.0. Did you mean `reference_weight`",
    ),
    "stage without epochs": (lambda: stage(epochs=0), ValueError, "`epochs` must be a whole number of at least 1.*=0"),
    "stage of 1.5 epochs": (lambda: stage(epochs=1.5), ValueError, "`epochs` must be .* Received: epochs=1.5"),
    "stage of True epochs": (lambda: stage(epochs=True), ValueError, "`epochs` must be .* Received: epochs=True"),
    "reference weight of a stage": (lambda: stage(reference_weight=-1), ValueError, "`reference_weight` must be"),
    "optimizer of a stage": (lambda: stage(optimizer="sdg"), ValueError, "`optimizer` must be .*optimizer='sdg'"),
    "name of a stage": (lambda: stage(name=3), TypeError, "`name` must be a string.*name=3"),
    "no stages": (lambda: smskd.SequentialDistiller([]), ValueError, "`stages` must be a list of one"),
    "stages is a distiller": (lambda: smskd.SequentialDistiller(kd()), TypeError, "`stages` must be a list"),
    "stages is a dict": (lambda: smskd.SequentialDistiller({"KD": kd()}), TypeError, "`stages` must be a list"),
    "model among stages": (lambda: sequence(kd(), STUDENT), TypeError, "`distiller` must be a `Distiller`"),
    "list among stages": (lambda: sequence([kd(), kd()]), TypeError, "`distiller` must be a `Distiller`"),
    "two students": (
        lambda: sequence(kd(), KD(TEACHER, dense(3))),
        ValueError,
        "`stages` must share one student. Received",
    ),
    "two teachers": (
        lambda: sequence(kd(), KD(dense(8), STUDENT)),
        ValueError,
        "`stages` must share one teacher, or the same teachers in one order. Received",
    ),
    "reference weight": (lambda: sequence(reference_weight=np.nan), ValueError, "`reference_weight` must be.*=nan"),
    "reference weight of one stage": (lambda: sequence(kd(), reference_weight=-1), ValueError, "`reference_weight`"),
    "reference weights as a list": (lambda: sequence(reference_weight=[0, 1]), ValueError, "`reference_weight` must"),
    "reference temperature": (lambda: sequence(reference_temperature=0), ValueError, "`reference_temperature` must"),
    "weighting": (lambda: sequence(weighting="TCP"), ValueError, r"`weighting` must be one of \['tcp', 'uniform'\]"),
    "weighting of one stage": (lambda: sequence(kd(), weighting="TCP"), ValueError, "`weighting` must be one of"),
    "weighting is a list": (lambda: sequence(weighting=["tcp"]), ValueError, "`weighting` must be one of"),
    "no weighting": (lambda: sequence(weighting=None), ValueError, "`weighting` must be one of.*weighting=None"),
    "weighting by logits alone": (
        lambda: sequence(weighting=lambda logits: logits[:, 0]),
        TypeError,
        r"`weighting` must be callable with `\(teacher_logits, y\)`. Received: weighting=",
    ),
    "weighting of one number": (
        lambda: fit(sequence(weighting=lambda logits, y: 1.0)),
        ValueError,
        "`weighting` must return one weight for every sample",
    ),
    "weighting of every class": (
        lambda: fit(sequence(weighting=lambda logits, y: logits)),
        ValueError,
        "`weighting` must return one weight for every sample",
    ),
    "student whose copy forgets": (
        lambda: of_student(forgetful({})),
        ValueError,
        "must be copied to make the reference.*`student_factory=`",
    ),
    "student without config": (
        lambda: of_student(forgetful(None)),
        ValueError,
        "must be copied to make the reference.*`student_factory=`",
    ),
    "factory is a model": (
        lambda: sequence(student_factory=dense(3)),
        ValueError,
        "`student_factory",
    ),
    "factory of another student": (
        lambda: sequence(student_factory=lambda: dense(4)),
        ValueError,
        "cannot be copied.*`student_factory=`",
    ),
    "factory of nothing": (lambda: sequence(student_factory=lambda: None), ValueError, "`student_factory=`"),
    "factory of the student itself": (
        lambda: sequence(student_factory=lambda: STUDENT),
        ValueError,
        "`student_factory=`.*new",
    ),
    "factory of the student's layers": (
        lambda: sequence(student_factory=lambda: keras.Model(STUDENT.inputs, STUDENT.outputs)),
        ValueError,
        "`student_factory=`.*new",
    ),
    "epochs of too few stages": (
        lambda: fit(sequence(), epochs=[1]),
        ValueError,
        r"`epochs` must be .* one for each of the 2 stages. Received: epochs=\[1\]",
    ),
    "epochs of too many stages": (lambda: fit(sequence(), epochs=[1, 1, 1]), ValueError, "`epochs` .*2 stages"),
    "no epochs of a sequence": (lambda: fit(sequence(), epochs=0), ValueError, "`epochs` must be a whole number"),
    "negative epochs of one stage": (lambda: fit(sequence(), epochs=[1, -1]), ValueError, "Received: epochs=-1"),
    "dict of epochs": (lambda: fit(sequence(), epochs={"KD": 1}), ValueError, "`epochs` must be"),
    "first epoch of a sequence": (
        lambda: fit(sequence(), initial_epoch=1),
        TypeError,
        "`initial_epoch` .*`backup_dir`",
    ),
    "single batches": (
        lambda: compiled(sequence()).train_on_batch(X, Y),
        ValueError,
        r"A sequence trains by `fit`.*`begin_stage\(0\)` once.*`train_on_batch`",
    ),
    "stage of none": (
        lambda: compiled(sequence()).begin_stage(2),
        IndexError,
        "`index` must be from 0 to 1. Received: index=2",
    ),
    "stage by its name": (lambda: compiled(sequence()).begin_stage("KD"), IndexError, "`index` must be .*index='KD'"),
    "stage before `compile`": (lambda: sequence().begin_stage(0), ValueError, r"`compile\(\)` before .*`begin_stage"),
    "nothing joint": (lambda: smskd.JointDistiller([]), ValueError, "`distillers` must be a list of one distiller"),
    "joint distiller alone": (lambda: smskd.JointDistiller(kd()), ValueError, "`distillers` must be a list of one"),
    "joint with a model": (lambda: joint(kd(), STUDENT), TypeError, "`distillers` must hold distillers"),
    "joint with nothing": (lambda: joint(kd(), None), TypeError, "`distillers` must hold distillers.*None"),
    "joint with a sequence": (lambda: joint(kd(), sequence()), TypeError, "`distillers` must hold distillers"),
    "joint with a stage": (lambda: joint(stage()), TypeError, "`distillers` must hold distillers"),
    "joint for two students": (
        lambda: joint(kd(), KD(TEACHER, dense(3))),
        ValueError,
        "`distillers` must share one st",
    ),
    "joint with another preprocessing": (
        lambda: joint(kd(), kd(teacher_preprocessing=lambda x: 2 * x)),
        ValueError,
        "`distillers` must have the same `teacher_preprocessing`",
    ),
    "joint with other views": (lambda: joint(*views_of_its_own()), ValueError, "`distillers` must share one way to"),
    "one joint weight too few": (lambda: joint(weights=[1.0]), ValueError, r"`weights` must .* 2 distillers.*\[1.0\]"),
    "one joint weight": (lambda: joint(weights=1.0), TypeError, "`weights` must be a list.*weights=1.0"),
    "negative joint weight": (lambda: joint(weights=[1.0, -1.0]), ValueError, "`weights` must be .*weights=-1.0"),
    "joint weights by name": (lambda: joint(weights={"KD": 1.0, "RKD": 1.0}), TypeError, "`weights` must be a list"),
    "joint weights as text": (lambda: joint(weights="11"), TypeError, "`weights` must be a list.*weights='11'"),
}
