"""Distillation without labels: the teacher is all that there is to learn from."""

import numpy as np
import pytest

from keras_smskd import FitNetDistiller, KDDistiller, SequentialDistiller
from tests import expected
from tests.models import assert_same_weights, dense, vectors, weights_of


def label_free(teacher=None, student=None, **arguments):
    return KDDistiller(teacher or dense(8), student or dense(3), label_weight=0, distillation_weight=1, **arguments)


def test_fit_takes_no_labels():
    x, _ = vectors()
    distiller = label_free()
    teacher = weights_of(distiller.teacher)
    logits = [model.predict(x, verbose=0) for model in (distiller.teacher, distiller.student)]
    distiller.compile("sgd", loss=None)
    history = distiller.fit(x, batch_size=32, epochs=5, verbose=0).history
    assert set(history) == {"loss", "distillation_loss"}
    np.testing.assert_allclose(history["distillation_loss"][0], expected.kd(*logits, 4.0).mean(), rtol=1e-4)
    assert history["loss"][-1] < history["loss"][0]
    assert_same_weights(distiller.teacher, teacher)


@pytest.mark.compiles
def test_labels_that_are_given_do_not_matter():
    x, y = vectors()
    distiller = label_free()
    distiller.compile("sgd", loss=None)
    losses = [distiller.evaluate(x, labels, verbose=0) for labels in (None, y)]
    assert losses == [0.0, 0.0]
    weights = distiller.student.get_weights()
    histories = []
    for labels in (None, y):
        distiller.student.set_weights(weights)
        histories.append(distiller.fit(x, labels, batch_size=32, epochs=3, verbose=0).history["distillation_loss"])
    np.testing.assert_allclose(*histories, rtol=1e-6)


def test_without_a_loss_the_label_weight_must_be_0():
    with pytest.raises(ValueError, match="`loss` must be given, or `label_weight` be 0"):
        KDDistiller(dense(8), dense(3)).compile("sgd", loss=None)


def two_stages(weighting):
    teacher, student = dense(8), dense(3)
    hints = FitNetDistiller(teacher, student, layers={"hidden": "hidden"}, label_weight=0, distillation_weight=1)
    distiller = SequentialDistiller([hints, label_free(teacher, student)], weighting=weighting)
    distiller.compile("sgd", loss=None)
    return distiller


def test_two_stages_with_a_uniform_reference():
    x, _ = vectors()
    first, second = two_stages("uniform").fit(x, batch_size=16, epochs=3, verbose=0).stages
    assert set(first.history) == {"loss", "distillation_loss"}
    assert set(second.history) == {"loss", "distillation_loss", "reference_loss", "reference_agreement"}
    assert second.history["distillation_loss"][-1] < second.history["distillation_loss"][0]


def test_tcp_misses_labels_before_the_first_step():
    x, _ = vectors()
    distiller = two_stages("tcp")
    weights = weights_of(distiller.student)
    with pytest.raises(ValueError, match="`y` must be given with `weighting='tcp'`"):
        distiller.fit(x, epochs=1, verbose=0)
    assert_same_weights(distiller.student, weights)
    with pytest.raises(ValueError, match="Labels are needed.*Without labels use a method and a weighting without TCP"):
        distiller.fit(((x[:8],) for _ in range(9)), steps_per_epoch=1, epochs=1, verbose=0)
