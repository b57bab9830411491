"""Arguments of `fit` that train nothing, or not what they seem to."""

import numpy as np

import keras_smskd as smskd
from tests.bad_input.world import (
    IMAGES,
    KD,
    LABELS,
    STUDENT,
    TEACHER,
    Batches,
    X,
    Y,
    compiled,
    fit,
    kd,
    of_maps,
    relational,
    sequence,
)
from tests.models import dense

ONES = np.ones(8)


def fits(make=kd, x=X, y=Y, **arguments):
    return lambda: fit(make(), x, y, **arguments)


def unlabelled(distiller, **arguments):
    distiller.compile("sgd")
    return lambda: distiller.fit(X, verbose=0, **arguments)


def without_label_loss():
    distiller = kd(label_weight=0.0)
    distiller.compile("sgd")
    return distiller


def weighted_later():
    distiller = without_label_loss()
    distiller.label_weight = 1.0
    distiller.fit(X, Y, verbose=0)


def frozen(model):
    """A distiller that is frozen as a whole, or whose student is."""
    distiller = compiled(KD(dense(8), dense(3)))
    getattr(distiller, model, distiller).trainable = False
    distiller.fit(X, Y, verbose=0)


def wrong(weights):
    array = ONES.copy()
    array[3] = weights
    return array


def dkd():
    return smskd.DKDDistiller(TEACHER, STUDENT, label_weight=0.0)


def of_two():
    return KD(teachers=[TEACHER, dense(5)], student=STUDENT, teacher_weighting="tcp", label_weight=0.0)


def crd(samples=8):
    return smskd.CRDDistiller(TEACHER, STUDENT, layers={"hidden": "hidden"}, samples=samples)


def semckd(**arguments):
    return of_maps(smskd.SemCKDDistiller, **arguments)


def unlabelled_sequence(x):
    distiller = sequence(kd(label_weight=0.0), kd(label_weight=0.0))
    distiller.compile("sgd")
    distiller.fit(x, verbose=0)


COUNT = "`epochs` must be a whole number of at least 1. Received: epochs="

MISUSES = {
    "not compiled": (lambda: kd().fit(X, Y), ValueError, r"You must call `compile\(\)`"),
    "sequence not compiled": (lambda: sequence().fit(X, Y), ValueError, r"You must call `compile\(\)`"),
    "misspelt argument": (
        fits(epoch=2),
        TypeError,
        "`fit` has no argument `epoch`. Received: epoch=2. Did you mean `epochs`.* x, y, batch_size, epochs, .*seed",
    ),
    "misspelt argument of a sequence": (fits(sequence, class_weights={}), TypeError, "Did you mean `class_weight`"),
    "backup of a distiller": (
        fits(backup_dir="runs/a"),
        TypeError,
        "`backup_dir` is an argument of `SequentialDistiller.fit`: make a sequence of one stage.*backup_dir='runs/a'",
    ),
    "frozen student": (
        lambda: frozen("student"),
        ValueError,
        "`student` must have weights to train.*`student.trainable",
    ),
    "frozen distiller": (lambda: frozen("itself"), ValueError, "`student` must have weights to train"),
    "no epochs": (fits(epochs=0), ValueError, f"{COUNT}0"),
    "negative epochs": (fits(epochs=-1), ValueError, f"{COUNT}-1"),
    "epochs 1.5": (fits(epochs=1.5), ValueError, f"{COUNT}1.5"),
    "epochs True": (fits(epochs=True), ValueError, f"{COUNT}True"),
    "epochs as text": (fits(epochs="3"), ValueError, f"{COUNT}'3'"),
    "list of epochs for one method": (fits(epochs=[1, 1]), ValueError, rf"{COUNT}\[1, 1\]"),
    "batch size 0": (fits(batch_size=0), ValueError, "`batch_size` must be a whole number of at least 1.*=0"),
    "negative batch size": (fits(batch_size=-8), ValueError, "`batch_size` must be a whole number.*=-8"),
    "batch size 1.5": (fits(batch_size=1.5), ValueError, "`batch_size` must be a whole number.*=1.5"),
    "batch size as text": (fits(batch_size="32"), ValueError, "`batch_size` must be a whole number.*='32'"),
    "batch size 0 of a sequence": (fits(sequence, batch_size=0), ValueError, "`batch_size` must be a whole number.*=0"),
    "batches without relations": (
        fits(relational, batch_size=2),
        ValueError,
        "`batch_size` must be at least 3 for RKD",
    ),
    "too few samples": (fits(relational, X[:2], Y[:2]), ValueError, "`batch_size` must be at least 3 for RKD"),
    "too few samples in a batch": (
        lambda: compiled(relational()).train_on_batch(X[:2], Y[:2]),
        ValueError,
        "`batch_size` must be at least 3 for RKD",
    ),
    "batches too large": (
        fits(lambda: semckd(batch_size=4), IMAGES, LABELS, batch_size=8),
        ValueError,
        "`batch_size` of `fit` must be at most 4 for SemCKD",
    ),
    "no steps": (fits(steps_per_epoch=0), ValueError, "`steps_per_epoch` must be a whole number.*=0"),
    "negative first epoch": (fits(initial_epoch=-1), ValueError, "`initial_epoch` must be a whole number.*=-1"),
    "first epoch 0.5": (fits(initial_epoch=0.5), ValueError, "`initial_epoch` must be a whole number.*=0.5"),
    "all for validation": (fits(validation_split=1.0), ValueError, "`validation_split` must.*validation_split=1.0"),
    "more than all": (fits(validation_split=1.5), ValueError, "`validation_split` must.*validation_split=1.5"),
    "negative part": (fits(validation_split=-0.5), ValueError, "`validation_split` must.*validation_split=-0.5"),
    "part as text": (fits(validation_split="0.2"), ValueError, "`validation_split` must.*validation_split='0.2'"),
    "part of one sample": (fits(validation_split=0.999), ValueError, "`validation_split` must leave samples"),
    "validation data of four": (fits(validation_data=(X, Y, ONES, 1)), ValueError, "`validation_data` must be"),
    "validation data as text": (fits(validation_data="xy"), ValueError, "`validation_data` must be"),
    "one label of no class": (
        fits(y=np.where(np.arange(8) == 5, 4, Y)),
        ValueError,
        r"`y` must hold class ids.*Received: 1 labels that do not, the first of them that of sample 5: 4\.$",
    ),
    "soft labels of no class": (
        fits(y=np.zeros((8, 4))),
        ValueError,
        r"`y` must .* Received: 8 labels that do not, the first of them that of sample 0: \[0\. 0\. 0\. 0\.\]\.$",
    ),
    "a misspelt argument that a sequence has not": (
        fits(sequence, inital_epoch=1),
        TypeError,
        r"`fit` has no argument `inital_epoch`. Received: inital_epoch=1. Its arguments are (?!.*\binitial_epoch)",
    ),
    "bad labels for validation": (
        fits(validation_data=(X, Y + 9)),
        ValueError,
        "`validation_data` must hold class ids",
    ),
    "more validation labels": (
        fits(validation_data=(X[:5], Y)),
        ValueError,
        r"`validation_data\[1\]` must have as many samples",
    ),
    "one weight too few": (fits(sample_weight=ONES[:-1]), ValueError, "`sample_weight`.* as many samples"),
    "negative weight": (fits(sample_weight=wrong(-1.0)), ValueError, "`sample_weight` must hold finite numbers of"),
    "weight NaN": (fits(sample_weight=wrong(np.nan)), ValueError, "`sample_weight` must hold finite numbers of at"),
    "infinite weight": (fits(sample_weight=wrong(np.inf)), ValueError, "`sample_weight` must hold finite numbers of"),
    "weights of rank 2": (fits(sample_weight=np.ones((8, 4))), ValueError, r"`sample_weight` must .*\(8, 4\)"),
    "one number as weight": (fits(sample_weight=2.0), TypeError, "`sample_weight` must be an array"),
    "weights of samples and classes": (
        fits(sample_weight=ONES, class_weight={0: 1.0}),
        ValueError,
        "`class_weight` and `sample_weight`",
    ),
    "unknown class": (fits(class_weight={4: 2.0}), ValueError, "`class_weight` must .*0 to 3.*{4: 2.0}"),
    "class by name": (fits(class_weight={"cat": 2.0}), ValueError, "`class_weight` must .*'cat'"),
    "negative weight of a class": (
        fits(class_weight={0: -1.0}),
        ValueError,
        "`class_weight` must be .* least 0.*=-1.0",
    ),
    "list of weights of classes": (fits(class_weight=[1.0] * 4), ValueError, "`class_weight` must be a dict"),
    "weights of classes without labels": (
        unlabelled(kd(label_weight=0.0), class_weight={0: 2.0}),
        ValueError,
        "`class_weight`.*`y`",
    ),
    "label weight without a loss": (weighted_later, ValueError, "`loss` must be given, or `label_weight` be 0"),
    "unlabelled data for a method": (unlabelled(dkd()), ValueError, "`y` must be given.*y=None"),
    "unlabelled data for teachers": (unlabelled(of_two()), ValueError, "`y` must be given.*y=None"),
    "unlabelled data for the reference": (
        lambda: unlabelled_sequence(X),
        ValueError,
        "`y` must be given with `weighting='tcp'`",
    ),
    "unlabelled inputs for the reference": (
        lambda: unlabelled_sequence([X]),
        ValueError,
        "`y` must be given with `weighting='tcp'`",
    ),
    "unlabelled batches for the reference": (
        lambda: unlabelled_sequence(Batches(X, None)),
        ValueError,
        "`y` must be given with `weighting='tcp'`",
    ),
    "labels apart from batches": (fits(x=Batches()), ValueError, "`y`"),
    "more samples than are remembered": (
        fits(lambda: crd(samples=4)),
        ValueError,
        "`samples` must be at least the number of training samples",
    ),
    "batches without numbers": (fits(crd, Batches(), None), ValueError, '"index"'),
    "negative seed": (fits(seed=-1), ValueError, "`seed` must be a whole number of at least 0.*seed=-1"),
    "seed 0.5": (fits(seed=0.5), ValueError, "`seed` must be a whole number.*seed=0.5"),
    "seed True": (fits(seed=True), ValueError, "`seed` must be a whole number.*seed=True"),
    "seed as text": (fits(sequence, seed="now"), ValueError, "`seed` must be a whole number.*seed='now'"),
    "seed with part of an epoch": (fits(seed=1, steps_per_epoch=1), ValueError, "`steps_per_epoch` cuts arrays"),
    "seed with no validation samples": (
        fits(sequence, seed=1, validation_split=0.999),
        ValueError,
        "`validation_split` must leave samples on both sides",
    ),
}
