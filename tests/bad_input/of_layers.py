"""Layers that are not there, do not fire once, or are not what a method reads."""

import keras
from keras import layers

import keras_smskd as smskd
from tests.bad_input.world import STUDENT, STUDENT_OF_IMAGES, TEACHER, TEACHER_OF_IMAGES, fitnet, kd, of_maps
from tests.models import CLASSES, Subclassed

A_DICT = r"`layers` of FitNet must be a dict of \{teacher_layer: student_layer\}"


def of_student(student, layer):
    return smskd.FitNetDistiller(TEACHER, student, layers={"hidden": layer})


def fires_twice():
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(CLASSES)(shared(shared(inputs))))


def never_fires():
    student = Subclassed(3)
    student.unused = layers.Dense(3, name="unused")
    student.unused.build((None, 6))
    student(keras.ops.zeros((2, 6)))
    return student


def named(hidden):
    return keras.Sequential([keras.Input((6,)), layers.Dense(3, name=hidden), layers.Dense(CLASSES)])


def returns_several():
    inputs = keras.Input((6, 1))
    states = layers.LSTM(3, return_state=True, name="states")(inputs)
    return keras.Model(inputs, layers.Dense(CLASSES)(states[0]))


MISUSES = {
    "no layers": (lambda: fitnet(None), ValueError, f"{A_DICT}.*layers=None"),
    "empty layers": (lambda: fitnet({}), ValueError, f"{A_DICT}.*layers={{}}"),
    "list of layers": (lambda: fitnet(["hidden"]), ValueError, A_DICT),
    "set of layers": (lambda: fitnet({"hidden"}), ValueError, A_DICT),
    "pair of layers": (lambda: fitnet(("hidden", "hidden")), ValueError, A_DICT),
    "one layer by name": (lambda: fitnet("hidden"), ValueError, f"{A_DICT}.*layers='hidden'"),
    "layers of outputs": (lambda: kd(layers={"hidden": "hidden"}), ValueError, "`layers` must be None for KD"),
    "layer without partner": (
        lambda: fitnet({"hidden": None}),
        TypeError,
        "`layers` must name.*student.*Received: None",
    ),
    "layer by number": (lambda: fitnet({0: "hidden"}), TypeError, "`layers` must name.*teacher.*Received: 0"),
    "layer itself": (
        lambda: fitnet({"hidden": STUDENT.layers[0]}),
        TypeError,
        "`layers` must name a layer of the student by a string.*Dense",
    ),
    "list of partners": (lambda: fitnet({"hidden": ["hidden"]}), TypeError, "`layers` must name.*student"),
    "unknown layer of teacher": (
        lambda: fitnet({"hiden": "hidden"}),
        ValueError,
        "teacher 'teacher' has no layer 'hiden', which `layers` names.*nearest.*'hidden'",
    ),
    "unknown layer of student": (
        lambda: fitnet({"hidden": "hid"}),
        ValueError,
        "student 'student' has no layer 'hid', which `layers` names.*nearest.*'hidden'",
    ),
    "layer below one that has none": (lambda: fitnet({"hidden": "head/hidden"}), ValueError, "no layer 'head/hidden'"),
    "empty name": (lambda: fitnet({"": "hidden"}), ValueError, "has no layer '', which `layers` names"),
    "wrong direction": (
        lambda: smskd.FitNetDistiller(TEACHER, named("guided"), layers={"guided": "hidden"}),
        ValueError,
        r"has no layer 'hidden', which `layers` names.*\{teacher_layer: student_layer\}",
    ),
    "layer that fires twice": (
        lambda: of_student(fires_twice(), "shared"),
        ValueError,
        "in `layers` must fire exactly once.*fired 2 times",
    ),
    "layer that never fires": (
        lambda: of_student(never_fires(), "unused"),
        ValueError,
        "in `layers` must fire exactly once.*fired 0 times",
    ),
    "layer of several outputs": (
        lambda: smskd.FitNetDistiller(returns_several(), returns_several(), layers={"states": "states"}),
        ValueError,
        "'states' of the teacher in `layers` must have one output tensor",
    ),
    "layer of a taken name": (
        lambda: smskd.FitNetDistiller(TEACHER, named("inputs"), layers={"hidden": "inputs"}),
        ValueError,
        "`layers` cannot name layers 'inputs'",
    ),
    "vectors for maps": (
        lambda: smskd.ATDistiller(TEACHER, STUDENT, layers={"hidden": "hidden"}),
        ValueError,
        "`layers` must name layers that output feature maps.*3 axes",
    ),
    "maps for attention": (
        lambda: of_maps(smskd.AttentionDistiller, {"pool": "pool"}),
        ValueError,
        "`layers` of Attention must name layers whose outputs have 3 axes",
    ),
    "maps for class tokens": (lambda: of_maps(smskd.PKDDistiller), ValueError, "`layers` of PKD"),
    "hint of another rank": (
        lambda: of_maps(smskd.FitNetDistiller, {"pool": "stage1"}),
        ValueError,
        "`layers`.*same rank",
    ),
    "hint of another size": (
        lambda: of_maps(smskd.DISTDistiller, {"stage1": "stage2"}),
        ValueError,
        "`layers` of DIST must name outputs of one shape",
    ),
    "hint for another rank": (lambda: of_maps(smskd.FitNetDistiller, {"stage1": "head"}), ValueError, "same rank"),
    "one map for a flow": (lambda: of_maps(smskd.FSPDistiller), ValueError, "`layers` of FSP.*two entries or more"),
    "two layers for one": (
        lambda: of_maps(smskd.SSKDDistiller, {"pool": "pool", "stage1": "stage1"}),
        ValueError,
        "`layers` of SSKD must have one entry",
    ),
    "no normalisation": (lambda: of_maps(smskd.OFDDistiller), ValueError, "`layers` of OFD must name batch normal"),
    "other widths": (lambda: of_maps(smskd.SimKDDistiller), ValueError, "`layers` of SimKD.*equal width"),
    "classifier of other features": (
        lambda: of_maps(smskd.SRRLDistiller, {"stage1": "stage1"}, classifier="head"),
        ValueError,
        "`classifier` must name the layer",
    ),
    "unknown classifier": (
        lambda: of_maps(smskd.SRRLDistiller, {"pool": "pool"}, classifier="top"),
        ValueError,
        "no layer 'top', which `classifier` names",
    ),
    "vectors for a reused classifier": (
        lambda: smskd.distillers.reuse_classifier(TEACHER_OF_IMAGES, STUDENT_OF_IMAGES, layers={"pool": "pool"}),
        ValueError,
        "`layers` of `reuse_classifier` must name feature maps",
    ),
    "images that are no squares": (
        lambda: smskd.SSKDDistiller(TEACHER, STUDENT, layers={"hidden": "hidden"}),
        ValueError,
        "`student` must take square images for SSKD",
    ),
    "mask of one input": (
        lambda: smskd.MMDDistiller(returns_sequences(), returns_sequences(), layers={"tokens": "tokens"}, mask="mask"),
        ValueError,
        "`mask` must name an input.*mask='mask'",
    ),
    "projector that keeps the width": (
        lambda: fitnet({"hidden": "hidden"}, projector=None),
        ValueError,
        r"`projector` must map the student's shape \(3,\) to the teacher's \(8,\)",
    ),
    "width 1, which would broadcast": (
        lambda: smskd.FitNetDistiller(TEACHER, dense_of_one(), layers={"hidden": "hidden"}, projector=None),
        ValueError,
        r"`projector` must map the student's shape \(1,\)",
    ),
    "projector is no function": (
        lambda: fitnet({"hidden": "hidden"}, projector="linear"),
        TypeError,
        "`projector` must be a function.*projector='linear'",
    ),
    "projector that makes no layer": (
        lambda: fitnet({"hidden": "hidden"}, projector=lambda teacher, student: None),
        TypeError,
        "`projector` must return a `keras.Layer`.*None",
    ),
}


def returns_sequences():
    inputs = keras.Input((6, 2))
    x = layers.Dense(3, name="tokens")(inputs)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)))


def dense_of_one():
    return keras.Sequential([keras.Input((6,)), layers.Dense(1, name="hidden"), layers.Dense(CLASSES)])
