"""What a long sequence holds on to: one copy of the student, whatever the number of stages."""

import gc

import keras
import pytest

import keras_smskd as smskd
from tests.models import dense, label_loss, vectors

pytestmark = pytest.mark.compiles


def variables_alive():
    gc.collect()
    return sum(issubclass(type(thing), keras.Variable) for thing in gc.get_objects())


class AtEpochs(keras.callbacks.Callback):
    def __init__(self, counts):
        super().__init__()
        self.counts = counts

    def on_epoch_end(self, epoch, logs=None):
        self.counts.append(variables_alive())


def test_no_stage_leaves_anything_behind():
    teacher, student = dense(8), dense(4)
    stages = [smskd.Stage(smskd.KDDistiller(teacher, student), epochs=1) for _ in range(10)]
    distiller = smskd.SequentialDistiller(stages)
    distiller.compile("adam", label_loss(), metrics=["accuracy"])
    x, y = vectors(8)
    counts = []
    before = variables_alive()
    distiller.fit(x, y, callbacks=[AtEpochs(counts)], verbose=0)
    assert len(counts) == 10
    assert len(set(counts)) == 1
    of_adam = 2 * len(student.trainable_variables) + 2
    assert before < counts[0] <= before + of_adam + 2  # The optimizer of the stage that runs, and the accuracy's two.
    assert variables_alive() == before
