"""Two stages on models of other libraries, and what must hold of each such run."""

import keras
import numpy as np

import keras_smskd as smskd
from tests.models import CLASSES, UNTRACED, assert_same_weights, label_loss, logits, weights_of

# No test here is about compiled steps, and models of hundreds of layers take long to trace.
QUICK = {"jit_compile": False, **UNTRACED}
SOFT_LABEL_LOSS = keras.losses.CategoricalCrossentropy(from_logits=True)


def soft_labels(samples):
    """What mixing images of two classes makes of labels."""
    classes = np.arange(samples) % CLASSES
    return (0.7 * np.eye(CLASSES)[classes] + 0.3 * np.eye(CLASSES)[::-1][classes]).astype("float32")


class Snapshot(keras.callbacks.Callback):
    """What student and reference output when a stage begins."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def on_train_begin(self, logs=None):
        self.student, self.reference = (logits(model, self.x) for model in (self.model.student, self.model.reference))


def two_stages(first, second, x, optimizer=None, loss=None, **compiled):
    """The compiled sequence, and what its second stage begins with."""
    snapshot = Snapshot(x)
    distiller = smskd.SequentialDistiller([first, smskd.Stage(second, callbacks=[snapshot])])
    distiller.compile(optimizer or keras.optimizers.SGD(0.01), loss or label_loss(), **{**QUICK, **compiled})
    return distiller, snapshot


def trained(first, second, x, *data, epochs=1, **compiled):
    """Trains two stages on `data`, of which `x` is a batch of inputs; checks what must hold whatever the models are."""
    teacher, student = first.teacher, first.student
    before = weights_of(teacher), weights_of(student)
    distiller, snapshot = two_stages(first, second, x, **compiled)
    history = distiller.fit(*data, epochs=epochs, verbose=0).history
    assert_same_weights(teacher, before[0])
    assert any((old != new).any() for old, new in zip(before[1], weights_of(student)))
    np.testing.assert_allclose(snapshot.reference, snapshot.student, rtol=1e-5, atol=1e-6)
    assert np.isfinite(history["loss"]).all()
    return history


def with_policy(policy, make, *arguments):
    """The model that `make` returns under a global dtype policy."""
    keras.config.set_dtype_policy(policy)
    try:
        return make(*arguments)
    finally:
        keras.config.set_dtype_policy("float32")


def step(distiller, x, y, loss=None):
    """The logs of one step that moves no weight."""
    distiller.compile(keras.optimizers.SGD(0.0), loss or label_loss(), **QUICK)
    return distiller.train_on_batch(x, y, return_dict=True)
