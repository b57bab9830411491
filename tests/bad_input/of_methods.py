"""Methods of one's own that do not keep to the contract of `Distiller`."""

import keras

import keras_smskd as smskd
from tests.bad_input.world import STUDENT, TEACHER, fit

PER_SAMPLE = r"`distillation_loss` of Wrong must return a tensor of shape \(batch,\), or a scalar"


def returning(values):
    """A method whose loss is made of the student's logits."""

    class Wrong(smskd.Distiller):
        def distillation_loss(self, teacher, student, y):
            return values(student["logits"])

    return lambda: fit(Wrong(TEACHER, STUDENT))


def without(**attributes):
    """A method that lacks what its attributes ask for."""

    class Wrong(smskd.Distiller):
        views = attributes.get("views", 1)
        smallest_batch = attributes.get("smallest_batch", 1)

    return lambda: fit(Wrong(TEACHER, STUDENT))


def that_forgets():
    class Wrong(smskd.Distiller):
        def __init__(self, teacher=None, student=None, *, strength=1.0, **arguments):
            super().__init__(teacher, student, **arguments)

    Wrong(TEACHER, STUDENT).get_config()


MISUSES = {
    "loss of every logit": (returning(lambda logits: logits), ValueError, PER_SAMPLE),
    "loss of every class": (returning(lambda logits: keras.ops.mean(logits, axis=0)), ValueError, PER_SAMPLE),
    "no loss": (returning(lambda logits: None), ValueError, f"{PER_SAMPLE}.*None"),
    "number that is no tensor": (returning(lambda logits: 1.0), ValueError, f"{PER_SAMPLE}.*1.0"),
    "no method": (without(), NotImplementedError, "Wrong must define `distillation_loss"),
    "views that are not made": (without(views=2), NotImplementedError, "Wrong has 2 views and must define `augment"),
    "larger batches": (without(smallest_batch=9), ValueError, "`batch_size` must be at least 9 for Wrong"),
    "argument that is not kept": (that_forgets, NotImplementedError, "Wrong must keep the argument `strength`"),
    "misspelt argument": (
        lambda: smskd.KDDistiller(TEACHER, STUDENT, temprature=4.0),
        TypeError,
        "KDDistiller has no argument `temprature`. Received: temprature=4.0. Did you mean `temperature`.* label_weight",
    ),
    "unknown argument": (
        lambda: smskd.JointDistiller([smskd.KDDistiller(TEACHER, STUDENT)], rate=2),
        TypeError,
        "JointDistiller has no argument `rate`. Received: rate=2. Its arguments are distillers, weights, label_w",
    ),
}
