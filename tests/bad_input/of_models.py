"""Teachers and students that cannot be distilled from or into."""

import keras
import numpy as np
from keras import layers

import keras_smskd as smskd
from tests.bad_input.world import KD, STUDENT, TEACHER, kd
from tests.models import CLASSES, convolutional, dense


def unbuilt():
    return keras.Sequential([layers.Dense(CLASSES)])


def shares_a_layer():
    return keras.Sequential([keras.Input((6,)), TEACHER.layers[0], layers.Dense(CLASSES)])


def probabilities(how="activation"):
    inputs = keras.Input((6,))
    logits = layers.Dense(CLASSES, activation="softmax" if how == "activation" else None)(inputs)
    ends = {"activation": lambda x: x, "layer": layers.Softmax(), "operation": keras.ops.softmax}
    return keras.Model(inputs, ends[how](logits))


def several_outputs(structure=list):
    inputs = keras.Input((6,))
    outputs = {"classes": layers.Dense(CLASSES)(inputs), "boxes": layers.Dense(2)(inputs)}
    return keras.Model(inputs, outputs if structure is dict else list(outputs.values()))


def two_inputs():
    inputs = [keras.Input((6,)), keras.Input((6,))]
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.Concatenate()(inputs)))


def scores_of_tokens():
    return keras.Sequential([keras.Input((6, 2)), layers.Dense(CLASSES)])


def diverged():
    model = dense(8)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    return model


def of_many(*teachers, **arguments):
    return KD(teachers=list(teachers), student=STUDENT, **arguments)


MISUSES = {
    "teacher is text": (lambda: KD("teacher", STUDENT), TypeError, "`teacher` must be a `keras.Model`.*'teacher'"),
    "teacher is a layer": (lambda: KD(layers.Dense(4), STUDENT), TypeError, "`teacher` must be a `keras.Model`"),
    "teacher is a class": (lambda: KD(keras.Model, STUDENT), TypeError, "`teacher` must be a `keras.Model`"),
    "no teacher": (lambda: KD(None, STUDENT), ValueError, "One of `teacher` and `teachers` must be given"),
    "no student": (lambda: KD(TEACHER), TypeError, "`student` must be a `keras.Model`.*in this order.*student=None"),
    "list of students": (lambda: KD(TEACHER, [STUDENT]), TypeError, "`student` must be a `keras.Model`"),
    "teacher is a distiller": (lambda: KD(kd(), dense(3)), TypeError, "`teacher` must be a model.*Pass its `.student`"),
    "student is a distiller": (lambda: KD(dense(8), kd()), TypeError, "`student` must be a model.*Pass its `.student`"),
    "unbuilt teacher": (lambda: KD(unbuilt(), STUDENT), ValueError, "`teacher` must be built.*`keras.Input`"),
    "unbuilt student": (lambda: KD(TEACHER, unbuilt()), ValueError, "`student` must be built.*`keras.Input`"),
    "shared layer": (lambda: KD(TEACHER, shares_a_layer()), ValueError, "`student` must share no layer with `teacher`"),
    "teacher is student": (lambda: KD(STUDENT, STUDENT), ValueError, "must share no layer with `teacher`.*clone_mod"),
    "teacher that diverged": (lambda: KD(diverged(), STUDENT), ValueError, "`teacher` must have finite weights"),
    "student that diverged": (lambda: KD(TEACHER, diverged()), ValueError, "`student` must have finite weights"),
    "other classes": (lambda: KD(TEACHER, dense(3, classes=5)), ValueError, "teacher of 4 and a student of 5 classes"),
    "regression": (lambda: KD(dense(3, classes=1), STUDENT), ValueError, r"`teacher` must be a classif.*\(None, 1\)"),
    "regression of both": (lambda: KD(dense(3, classes=1), dense(2, classes=1)), ValueError, "two classes or more"),
    "scores of tokens": (lambda: KD(scores_of_tokens(), STUDENT), ValueError, "`teacher_preprocessing`.*6"),
    "scores of tokens of both": (lambda: KD(scores_of_tokens(), scores_of_tokens()), ValueError, r"\(None, 6, 4\)"),
    "list of outputs": (lambda: KD(several_outputs(), STUDENT), ValueError, "`teacher`.*output tensor.*a list of 2"),
    "dict of outputs": (
        lambda: KD(TEACHER, several_outputs(dict)),
        ValueError,
        "`student`.*output tensor.*a dict of 2",
    ),
    "softmax of teacher": (lambda: KD(probabilities(), STUDENT), ValueError, "`teacher` must output logits"),
    "softmax of student": (lambda: KD(TEACHER, probabilities("layer")), ValueError, "`student` must output logits"),
    "softmax operation": (lambda: KD(probabilities("operation"), STUDENT), ValueError, "ends in a softmax"),
    "inputs of another size": (lambda: KD(dense(8, size=5), STUDENT), ValueError, "`teacher_preprocessing`.*5.*6"),
    "images and vectors": (lambda: KD(convolutional(3), STUDENT), ValueError, "`teacher_preprocessing`.*8, 8, 1.*6"),
    "two inputs and one": (
        lambda: KD(two_inputs(), STUDENT),
        ValueError,
        "`teacher_preprocessing` must make the inputs",
    ),
    "one input and two": (
        lambda: KD(TEACHER, two_inputs()),
        ValueError,
        "`teacher_preprocessing` must make the inputs",
    ),
    "preprocessing to another size": (
        lambda: kd(teacher_preprocessing=lambda x: x[:, :5]),
        ValueError,
        r"`teacher_preprocessing`.*gives \(None, 5\)",
    ),
    "list of preprocessings": (
        lambda: kd(teacher_preprocessing=[None]),
        TypeError,
        "`teacher_preprocessing` must be one function",
    ),
    "list as teacher": (lambda: KD([TEACHER], STUDENT), TypeError, "`teacher` must .* several go to `teachers`"),
    "teacher and teachers": (
        lambda: KD(TEACHER, STUDENT, teachers=[TEACHER]),
        ValueError,
        "One of `teacher` and `teachers` must be given",
    ),
    "no teachers": (of_many, ValueError, r"`teachers` must be a list of one model or more.*teachers=\[\]"),
    "teachers is a model": (
        lambda: KD(teachers=TEACHER, student=STUDENT),
        ValueError,
        "`teachers` must be a list of one model or more",
    ),
    "None among teachers": (lambda: of_many(TEACHER, None), TypeError, "`teacher` must be a `keras.Model`"),
    "student among teachers": (lambda: of_many(TEACHER, STUDENT), ValueError, "must share no layer with `teacher`"),
    "teachers of other classes": (
        lambda: of_many(TEACHER, dense(5, classes=7)),
        ValueError,
        "`teachers` must have features of the same shapes.*'logits'",
    ),
    "teachers of other widths": (
        lambda: smskd.FitNetDistiller(teachers=[TEACHER, dense(9)], student=STUDENT, layers={"hidden": "hidden"}),
        ValueError,
        r"`teachers` must have features of the same shapes.*\(None, 9\)",
    ),
    "weighting of teachers": (
        lambda: of_many(TEACHER, dense(5), teacher_weighting="confidence"),
        ValueError,
        r"`teacher_weighting` must be one of \['tcp', 'uniform'\].*'confidence'",
    ),
    "several teachers whose weights are read": (
        lambda: smskd.SRRLDistiller(
            teachers=[TEACHER, dense(8)], student=STUDENT, layers={"hidden": "hidden"}, classifier="head"
        ),
        ValueError,
        "`teachers` must be one for SRRL.*Received: 2 teachers",
    ),
}
