"""Every misuse is an error that names what was wrong, and nothing is trained."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_smskd as smskd
from tests.models import CLASSES, convolutional, dense, label_loss, vectors, weights_of

KD = smskd.KDDistiller


def pair():
    return dense(8, "teacher"), dense(3, "student")


def shared_layers():
    teacher = dense(8, "teacher")
    return teacher, keras.Sequential([keras.Input((6,)), teacher.layers[0], layers.Dense(CLASSES)])


def twice():
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(CLASSES)(shared(shared(inputs))))


def softmax(how):
    inputs = keras.Input((6,))
    if how == "layer":
        return keras.Model(inputs, layers.Softmax()(layers.Dense(CLASSES)(inputs)))
    if how == "operation":
        return keras.Model(inputs, keras.ops.softmax(layers.Dense(CLASSES)(inputs)))
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(inputs))


def two_outputs():
    inputs = keras.Input((6,))
    return keras.Model(inputs, [layers.Dense(CLASSES)(inputs), layers.Dense(2)(inputs)])


def forgetful(config):
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(CLASSES)(Forgetful(config, 3.0)(inputs)))


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


def sequence(*stages, **arguments):
    teacher, student = pair()
    return smskd.SequentialDistiller(list(stages) or [KD(teacher, student), KD(teacher, student)], **arguments)


def fits(distiller):
    return smskd.FitNetDistiller(*pair(), layers=distiller)


CONSTRUCTION = {
    "teacher is no model": (lambda: KD("teacher", dense(3)), TypeError, "`teacher` must be a `keras.Model`"),
    "student is no model": (lambda: KD(dense(3), None), TypeError, "`student` must be a `keras.Model`"),
    "unbuilt teacher": (lambda: KD(keras.Sequential([layers.Dense(4)]), dense(3)), ValueError, "`teacher` must be b"),
    "unbuilt student": (lambda: KD(dense(3), keras.Sequential([layers.Dense(4)])), ValueError, "`student` must be b"),
    "shared layers": (lambda: KD(*shared_layers()), ValueError, "must share no layer with `teacher`"),
    "teacher is student": (lambda: KD(*[dense(3)] * 2), ValueError, "must share no layer with `teacher`"),
    "other classes": (lambda: KD(dense(3), dense(3, classes=5)), ValueError, "teacher of 4 and a student of 5 classes"),
    "one class": (lambda: KD(dense(3, classes=1), dense(3)), ValueError, r"Received: .*\(None, 1\)"),
    "maps for logits": (
        lambda: KD(keras.Sequential([keras.Input((6, 2)), layers.Dense(4)]), dense(3)),
        ValueError,
        "6",
    ),
    "two outputs": (lambda: KD(two_outputs(), dense(3)), ValueError, "one output tensor. Received: a list of 2"),
    "softmax teacher": (lambda: KD(softmax("activation"), dense(3)), ValueError, "`teacher` must output logits"),
    "softmax student": (lambda: KD(dense(3), softmax("layer")), ValueError, "`student` must output logits"),
    "softmax operation": (lambda: KD(softmax("operation"), dense(3)), ValueError, "ends in a softmax"),
    "negative label weight": (lambda: KD(*pair(), label_weight=-1), ValueError, "`label_weight` must be a finite numb"),
    "NaN weight": (lambda: KD(*pair(), distillation_weight=np.nan), ValueError, "Received: distillation_weight=nan"),
    "infinite weight": (lambda: KD(*pair(), distillation_weight=np.inf), ValueError, "`distillation_weight`"),
    "text as weight": (lambda: KD(*pair(), label_weight="1"), ValueError, "Received: label_weight='1'"),
    "temperature 0": (lambda: KD(*pair(), temperature=0), ValueError, "`temperature` must be a finite number above 0"),
    "temperature NaN": (lambda: KD(*pair(), temperature=np.nan), ValueError, "`temperature`"),
    "negative alpha": (lambda: smskd.DKDDistiller(*pair(), alpha=-1), ValueError, "`alpha`"),
    "negative beta": (lambda: smskd.DKDDistiller(*pair(), beta=-1), ValueError, "`beta`"),
    "no layers": (lambda: smskd.FitNetDistiller(*pair()), ValueError, "`layers` of FitNet must be a dict"),
    "empty layers": (
        lambda: fits({}),
        ValueError,
        r"`layers` of FitNet must be a dict of \{teacher_layer: student_layer\}",
    ),
    "list of layers": (lambda: fits(["hidden"]), ValueError, "`layers` of FitNet must be a dict"),
    "layers of outputs": (lambda: KD(*pair(), layers={"hidden": "hidden"}), ValueError, "`layers` must be None for KD"),
    "layer without partner": (lambda: fits({"hidden": None}), TypeError, "must be named by a string"),
    "unknown teacher layer": (lambda: fits({"hiden": "hidden"}), ValueError, "no layer 'hiden'.*nearest.*'hidden'"),
    "unknown student layer": (lambda: fits({"hidden": "hid"}), ValueError, "student 'student' has no layer 'hid'"),
    "layer fires twice": (
        lambda: smskd.FitNetDistiller(dense(3), twice(), layers={"hidden": "shared"}),
        ValueError,
        "fired 2 times",
    ),
    "attention of vectors": (lambda: smskd.ATDistiller(*pair(), layers={"hidden": "hidden"}), ValueError, "3 axes"),
    "hint of another rank": (
        lambda: smskd.FitNetDistiller(convolutional(3), convolutional(2), layers={"pool": "stage1"}),
        ValueError,
        "same rank",
    ),
    "hint too large": (
        lambda: smskd.FitNetDistiller(convolutional(3, size=12), convolutional(2, size=12), layers={"stage1": "head"}),
        ValueError,
        "same rank",
    ),
    "negative power": (
        lambda: smskd.ATDistiller(convolutional(3), convolutional(2), layers={"stage1": "stage1"}, power=-2),
        ValueError,
        "`power`",
    ),
    "negative distance weight": (
        lambda: smskd.RKDDistiller(*pair(), layers={"hidden": "hidden"}, distance_weight=-1),
        ValueError,
        "`distance_weight`",
    ),
    "list of teachers": (lambda: KD([dense(3)], dense(2)), TypeError, "several go to `teachers`"),
    "list of preprocessings": (
        lambda: KD(*pair(), teacher_preprocessing=[None]),
        TypeError,
        "`teacher_preprocessing` must be one function",
    ),
    "no stages": (lambda: smskd.SequentialDistiller([]), ValueError, "`stages` must be a list of one"),
    "stages are no list": (lambda: smskd.SequentialDistiller(KD(*pair())), TypeError, "`stages` must be a list"),
    "stage is no distiller": (lambda: sequence(dense(3)), TypeError, "`distiller` must be a `Distiller`"),
    "stages of two students": (lambda: sequence(KD(*pair()), KD(*pair())), ValueError, "`stages` must share one teach"),
    "epochs 0": (lambda: smskd.Stage(KD(*pair()), epochs=0), ValueError, "`epochs` must be a whole number of at l"),
    "epochs 1.5": (lambda: smskd.Stage(KD(*pair()), epochs=1.5), ValueError, "Received: epochs=1.5"),
    "stage weight": (lambda: smskd.Stage(KD(*pair()), reference_weight=-1), ValueError, "`reference_weight`"),
    "reference weight": (lambda: sequence(reference_weight=np.nan), ValueError, "`reference_weight`"),
    "reference temperature": (lambda: sequence(reference_temperature=0), ValueError, "`reference_temperature`"),
    "weighting of one stage": (lambda: sequence(KD(*pair()), weighting="TCP"), ValueError, "`weighting` must be one"),
    "weighting": (lambda: sequence(weighting="TCP"), ValueError, r"`weighting` must be one of \['tcp', 'uniform'\]"),
    "schedule": (lambda: smskd.callbacks.AdaptiveReferenceWeight("exponential"), ValueError, "`schedule`"),
    "schedule start": (lambda: smskd.callbacks.AdaptiveReferenceWeight(start=-1.0), ValueError, "`start`"),
    "schedule target": (lambda: smskd.callbacks.AdaptiveReferenceWeight(target=2.0), ValueError, "`target`"),
}


@pytest.mark.parametrize("name", CONSTRUCTION)
def test_construction(name):
    construct, error, message = CONSTRUCTION[name]
    with pytest.raises(error, match=message):
        construct()


@pytest.mark.parametrize("make", [lambda: forgetful({}), lambda: forgetful(None)], ids=["forgets", "no config"])
def test_a_student_that_cannot_be_cloned_needs_a_factory(make):
    teacher, student = dense(8), make()
    stages = [KD(teacher, student), KD(teacher, student)]
    with pytest.raises(ValueError, match="cannot be copied to make the reference.*`student_factory=`"):
        smskd.SequentialDistiller(stages)
    smskd.SequentialDistiller(stages, reference_weight=0)
    distiller = smskd.SequentialDistiller(stages, student_factory=make)
    distiller.compile("sgd", label_loss())
    assert len(distiller.fit(X, Y, verbose=0).epoch) == 2


LOSSES = {
    "probabilities by name": ("sparse_categorical_crossentropy", "`loss` must take logits"),
    "probabilities by function": (keras.losses.categorical_crossentropy, "`loss` must take logits"),
    "probabilities by instance": (keras.losses.SparseCategoricalCrossentropy(), "from_logits=True"),
    "none": (None, "`loss` must be given, or `label_weight` be 0"),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", ["distiller", "sequence"])
def test_compile(name, kind):
    loss, message = LOSSES[name]
    distiller = KD(*pair()) if kind == "distiller" else sequence()
    with pytest.raises(ValueError, match=message):
        distiller.compile("sgd", loss)
    with pytest.raises(ValueError, match="`label_weight` instead of `loss_weights`"):
        distiller.compile("sgd", label_loss(), loss_weights=[1.0])


X, Y = vectors(8)
DATA = {
    "class id too large": (X, np.full(8, CLASSES), "class ids, which count from 0 to 3.*Received: 8 labels"),
    "negative class id": (X, np.where(np.arange(8) == 3, -1, Y), "Received: 1 labels"),
    "labels of rank 3": (X, np.zeros((8, 2, 2)), r"Received: y of shape \((8|None), 2, 2\)"),
    "one-hot of other classes": (X, np.eye(5)[Y], r"probabilities of shape \(batch, 4\)"),
    "soft labels above 1": (X, 2.0 * np.eye(4)[Y], "sum to 1"),
    "fractions as class ids": (X, Y + 0.5, "Received: 8 labels"),
    "NaN labels": (X, np.full(8, np.nan), "Received: 8 labels"),
}


def expected_loss(y):
    return label_loss() if y.ndim == 1 else keras.losses.CategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("kind", ["distiller", "sequence", "batch"])
def test_arrays_train_nothing(name, kind):
    x, y, message = DATA[name]
    distiller = sequence() if kind == "sequence" else KD(*pair())
    distiller.compile("sgd", expected_loss(y))
    before = weights_of(distiller.student)
    with pytest.raises(ValueError, match=message):
        distiller.train_on_batch(x, y) if kind == "batch" else distiller.fit(x, y, verbose=0)
    for old, new in zip(before, weights_of(distiller.student), strict=True):
        np.testing.assert_array_equal(old, new)


class Batches(keras.utils.PyDataset):
    """A source that cannot be checked as a whole."""

    def __init__(self, x, y, batch_size):
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return len(self.x) // self.batch_size

    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.x[part], self.y[part]


@pytest.mark.parametrize("name", DATA)
def test_a_source_that_must_be_iterated_ends_in_an_error(name):
    x, y, message = DATA[name]
    distiller = KD(*pair(), label_weight=0.0)  # Without a label loss, which some backends check themselves.
    distiller.compile("sgd")
    with pytest.raises(ValueError, match=message):
        distiller.fit(Batches(x, y, 8), verbose=0)


def test_batches_too_small_from_any_source():
    distiller = smskd.RKDDistiller(*pair(), layers={"hidden": "hidden"})
    distiller.compile("sgd", label_loss())
    for arguments in ({"x": Batches(X, Y, 2)}, {"x": X, "y": Y, "batch_size": 2}, {"x": X[:2], "y": Y[:2]}):
        with pytest.raises(ValueError, match="`batch_size` must be at least 3 for RKD"):
            distiller.fit(**arguments, verbose=0)
    with pytest.raises(ValueError, match="`batch_size` must be at least 3 for RKD"):
        distiller.train_on_batch(X[:2], Y[:2])


def test_epochs_of_a_distiller():
    distiller = KD(*pair())
    distiller.compile("sgd", label_loss())
    with pytest.raises(ValueError, match="`epochs` must be a whole number of at least 1"):
        distiller.fit(X, Y, epochs=0)


FIT = {
    "epochs 0": ({"epochs": 0}, ValueError, "`epochs` must be a whole number"),
    "too few epochs": ({"epochs": [1]}, ValueError, "one for each of the 2 stages"),
    "negative epochs of a stage": ({"epochs": [1, -1]}, ValueError, "Received: epochs=-1"),
    "callback of no callback": ({"callbacks": ["early stopping"]}, TypeError, "`callbacks` must hold callbacks"),
    "backup": ({"callbacks": [keras.callbacks.BackupAndRestore("backup")]}, ValueError, "BackupAndRestore"),
}


@pytest.mark.parametrize("name", FIT)
def test_fit_of_a_sequence(name):
    arguments, error, message = FIT[name]
    distiller = sequence()
    distiller.compile("sgd", label_loss())
    before = weights_of(distiller.student)
    with pytest.raises(error, match=message):
        distiller.fit(X, Y, verbose=0, **arguments)
    for old, new in zip(before, weights_of(distiller.student), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("weights", [lambda logits, y: logits, lambda logits, y: 1.0], ids=["matrix", "number"])
def test_weighting_of_the_wrong_shape(weights):
    distiller = sequence(weighting=weights)
    distiller.compile("sgd", label_loss())
    with pytest.raises(ValueError, match="`weighting` must return one weight for every sample"):
        distiller.fit(X, Y, verbose=0)


WRONG_LOSSES = {
    "matrix": lambda logits: logits,
    "nothing": lambda logits: None,
    "of classes": lambda logits: keras.ops.mean(logits, axis=0),
}


@pytest.mark.parametrize("values", WRONG_LOSSES.values(), ids=WRONG_LOSSES)
def test_a_method_that_returns_no_loss_per_sample(values):
    class Wrong(smskd.Distiller):
        def distillation_loss(self, teacher, student, y):
            return values(student["logits"])

    distiller = Wrong(*pair())
    distiller.compile("sgd", label_loss())
    with pytest.raises(ValueError, match=r"`distillation_loss` of Wrong must return a tensor of shape \(batch,\)"):
        distiller.fit(X, Y, verbose=0)


def test_a_sequence_does_not_train_on_single_batches():
    with pytest.raises(ValueError, match="A sequence trains by `fit` alone"):
        sequence().train_on_batch(X, Y)


def test_a_softmax_in_bfloat16_is_found():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        teachers = [softmax("activation") for _ in range(5)]
    finally:
        keras.config.set_dtype_policy("float32")
    for teacher in teachers:
        with pytest.raises(ValueError, match="ends in a softmax"):
            KD(teacher, dense(3))


def test_a_sequence_must_be_compiled():
    with pytest.raises(ValueError, match="You must call `compile"):
        sequence().fit(X, Y)


def test_weights_set_later_are_checked_too():
    distiller = KD(*pair())
    with pytest.raises(ValueError, match="Received: label_weight=-2"):
        distiller.label_weight = -2
