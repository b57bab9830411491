import math

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.callbacks import AdaptiveReferenceWeight
from tests.contract import counted
from tests.models import dense, label_loss, vectors


def run(callback, epochs=5, validation=False, reference_weight=1.0, student=None):
    keras.utils.set_random_seed(0)
    x, y = vectors(32)
    teacher, student = dense(8), student or dense(3)
    stages = [smskd.KDDistiller(teacher, student) for _ in range(2)]
    distiller = smskd.SequentialDistiller(stages, reference_weight=reference_weight)
    distiller.compile(keras.optimizers.SGD(0.5), label_loss())
    data = {"validation_data": (x, y)} if validation else {}
    return distiller.fit(x, y, epochs=[1, epochs], callbacks=[callback], verbose=0, **data)


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [2.0] * 5),
        ("linear", [2.0, 1.75, 1.5, 1.25, 1.0]),
        ("cosine", [1 + (1 + math.cos(math.pi * t)) / 2 for t in (0, 0.25, 0.5, 0.75, 1)]),
    ],
)
def test_schedules(schedule, expected):
    history = run(AdaptiveReferenceWeight(schedule, start=2.0, end=1.0)).history
    assert math.isnan(history["reference_weight"][0])
    np.testing.assert_allclose(history["reference_weight"][1:], expected, rtol=1e-6)
    total = [0.1 * history["label_loss"][i] + 0.9 * history["distillation_loss"][i] for i in range(1, 6)]
    total = np.add(total, np.multiply(expected, history["reference_loss"][1:]))
    np.testing.assert_allclose(history["loss"][1:], total, rtol=1e-5)


@pytest.mark.compiles
def test_a_schedule_starts_from_the_weight_of_the_stage():
    history = run(AdaptiveReferenceWeight("linear"), epochs=3, reference_weight=4.0).history
    np.testing.assert_allclose(history["reference_weight"][1:], [4.0, 2.0, 0.0])


def test_the_adaptive_rule_follows_the_measured_agreement():
    history = run(AdaptiveReferenceWeight("adaptive", start=2.0, target=0.9, gain=0.5)).history
    weight, weights, agreement = 2.0, history["reference_weight"][1:], history["reference_agreement"][1:]
    for epoch in range(5):
        np.testing.assert_allclose(weights[epoch], weight, rtol=1e-5)
        weight *= math.exp(0.5 * (0.9 - agreement[epoch]))
    assert len(set(weights)) > 1


@pytest.mark.compiles
def test_the_adaptive_weight_is_bounded():
    history = run(AdaptiveReferenceWeight("adaptive", start=1.0, target=1.0, gain=100.0, maximum=1.5)).history
    assert max(history["reference_weight"][1:]) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="`start` must be at most `maximum`. Received: start=50.0, maximum=10.0"):
        run(AdaptiveReferenceWeight("adaptive"), reference_weight=50.0)


def test_no_retrace():
    student, counter = counted(dense(3))
    run(AdaptiveReferenceWeight("linear"), epochs=1, student=student)
    calls = len(counter.calls)
    student, counter = counted(dense(3))
    run(AdaptiveReferenceWeight("linear"), epochs=4, student=student)
    if keras.backend.backend() == "torch":
        calls += 3  # Nothing is traced: each of the three further epochs calls the student once.
    assert len(counter.calls) == calls


@pytest.mark.compiles
@pytest.mark.parametrize("validation", [False, True])
def test_the_distribution_of_every_epoch_is_reported(validation):
    callback = AdaptiveReferenceWeight("constant")
    run(callback, epochs=3, validation=validation)
    assert sorted(callback.distributions) == [1, 2, 3]
    for table in callback.distributions.values():
        assert table[:, 2].sum() == 32
        assert table[0, 0] == 0
        assert table[-1, 1] == 1


@pytest.mark.compiles
def test_a_stage_without_a_reference_is_left_alone():
    callback = AdaptiveReferenceWeight("linear")
    history = run(callback, reference_weight=0.0).history
    assert "reference_weight" not in history
    assert not callback.distributions
