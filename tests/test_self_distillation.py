"""Born-again networks: a student becomes the teacher of a fresh student of its own architecture."""

import keras
import numpy as np
import pytest

from keras_smskd import FitNetDistiller, KDDistiller, SequentialDistiller
from keras_smskd.reference import freeze_copy
from tests.models import assert_same_weights, dense, label_loss, logits, vectors, weights_of

pytestmark = pytest.mark.compiles


def first_generation():
    """A finished sequence of two stages."""
    keras.utils.set_random_seed(0)
    teacher, student = dense(16), dense(4)
    hints = FitNetDistiller(teacher, student, layers={"hidden": "hidden"})
    distiller = SequentialDistiller([hints, KDDistiller(teacher, student)])
    distiller.compile("sgd", label_loss())
    distiller.fit(*vectors(), epochs=2, verbose=0)
    return distiller


PARENTS = {
    "the reference": lambda distiller: distiller.reference,
    "a copy of the student": lambda distiller: freeze_copy(distiller.student),
}


@pytest.mark.parametrize("parent_of", PARENTS.values(), ids=PARENTS)
def test_a_fresh_student_learns_from_its_parent(parent_of):
    x, y = vectors()
    finished = first_generation()
    teacher, child = parent_of(finished), dense(4)
    before, of_student = weights_of(teacher), weights_of(finished.student)
    distiller = KDDistiller(teacher, child)
    distiller.compile(keras.optimizers.SGD(0.1), label_loss())
    distances = [distance(teacher, child, x)]
    history = distiller.fit(x, y, epochs=30, verbose=0).history
    distances.append(distance(teacher, child, x))
    assert history["loss"][-1] < history["loss"][0]
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]
    assert distances[1] < 0.9 * distances[0]
    assert_same_weights(teacher, before)
    assert_same_weights(finished.student, of_student)
    assert not teacher.trainable_variables


def distance(teacher, student, x):
    return np.square(logits(teacher, x) - logits(student, x)).mean()


def test_a_copy_is_the_student_as_it_was():
    finished = first_generation()
    copy = freeze_copy(finished.student)
    assert_same_weights(copy, weights_of(finished.student))
    finished.fit(*vectors(), epochs=1, verbose=0)
    assert any((a != b).any() for a, b in zip(weights_of(copy), weights_of(finished.student), strict=True))
