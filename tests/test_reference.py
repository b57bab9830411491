import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd import KDDistiller
from keras_smskd.reference import Reference, reference_loss, tcp_weighting, true_class_probability, uniform_weighting
from tests import expected
from tests.autodiff import value_and_gradients
from tests.models import (
    CLASSES,
    assert_same_weights,
    convolutional,
    dense,
    images,
    label_loss,
    subclassed,
    vectors,
    weights_of,
)


def logits(seed=0):
    generator = np.random.default_rng(seed)
    teacher, reference, student = generator.normal(size=(3, 6, CLASSES)).astype("float32") * 2
    return teacher, reference, student, generator.integers(0, CLASSES, 6)


@pytest.mark.parametrize("form", ["sparse", "column", "one-hot", "soft"])
def test_true_class_probability(form):
    teacher, _, _, y = logits()
    soft = 0.7 * np.eye(CLASSES)[y] + 0.3 / CLASSES
    labels = {"sparse": y, "column": y[:, None], "one-hot": np.eye(CLASSES)[y], "soft": soft}[form]
    probabilities = np.array([expected.softmax(z) for z in teacher.astype(float)])
    value = (probabilities * soft).sum(axis=1) if form == "soft" else expected.true_class_probability(teacher, y)
    received = true_class_probability(ops.convert_to_tensor(teacher), ops.convert_to_tensor(labels))
    np.testing.assert_allclose(ops.convert_to_numpy(received), value, rtol=1e-5)


def test_weightings():
    teacher, _, _, y = logits()
    tensors = ops.convert_to_tensor(teacher), ops.convert_to_tensor(y)
    np.testing.assert_allclose(
        ops.convert_to_numpy(tcp_weighting(*tensors)), 1 - expected.true_class_probability(teacher, y), rtol=1e-5
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(uniform_weighting(*tensors)), np.ones(6))


def test_reference_loss_and_its_gradient():
    teacher, reference, student, y = logits()
    weights = 1 - expected.true_class_probability(teacher, y)

    def mean(student):
        return ops.mean(reference_loss(reference, student, weights.astype("float32"), temperature=3.0))

    value, gradients = value_and_gradients(mean, {"student": student})
    np.testing.assert_allclose(value, (weights * expected.kd(reference, student, 3.0)).mean(), rtol=1e-5)
    of_class = []
    for r, s, w in zip(reference.astype(float), student.astype(float), weights, strict=True):
        of_class.append(w * 3.0 * (expected.softmax(s / 3.0) - expected.softmax(r / 3.0)) / 6)
    np.testing.assert_allclose(gradients["student"], of_class, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("make", [lambda: convolutional(3), lambda: dense(3), lambda: subclassed(3)])
def test_the_reference_stays_while_the_student_learns(make):
    student = make()
    reference = Reference(student)
    before = weights_of(reference.model)
    assert not reference.model.trainable_variables
    student.compile("sgd", label_loss())
    x = images(16)[0] if len(student.weights) > 4 else vectors(16)[0]
    student.fit(x, np.zeros(16), verbose=0)
    assert_same_weights(reference.model, before)
    reference.update()
    for old, new in zip(student.weights, reference.model.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(old), ops.convert_to_numpy(new))
    student.fit(x, np.zeros(16), verbose=0)
    assert any(
        (ops.convert_to_numpy(old) != ops.convert_to_numpy(new)).any()
        for old, new in zip(student.weights, reference.model.weights, strict=True)
    )


def test_a_bare_distiller_takes_a_reference():
    x, y = vectors(16)
    teacher, student = dense(8), dense(3)
    moved = dense(3)
    reference = Reference(student, temperature=2.0)
    student.set_weights(moved.get_weights())
    distiller = KDDistiller(teacher, student, label_weight=0.0, distillation_weight=0.0)
    distiller.attach_reference(reference, reference_weight=3.0)
    distiller.compile(keras.optimizers.SGD(0.0), label_loss())
    logs = distiller.fit(x, y, batch_size=16, verbose=0).history
    of_teacher, of_reference, of_student = (
        ops.convert_to_numpy(model(x)) for model in (teacher, reference.model, student)
    )
    weights = 1 - expected.true_class_probability(of_teacher, y)
    loss = (weights * expected.kd(of_reference, of_student, 2.0)).mean()
    np.testing.assert_allclose(logs["reference_loss"], loss, rtol=1e-4)
    np.testing.assert_allclose(logs["loss"], 3.0 * loss, rtol=1e-4)
    agreement = (of_reference.argmax(axis=1) == of_student.argmax(axis=1)).mean()
    np.testing.assert_allclose(logs["reference_agreement"], agreement, rtol=1e-5)
    counts = distiller.sample_reference_weight.table()[:, 2]
    np.testing.assert_array_equal(counts, np.histogram(weights, bins=20, range=(0, 1))[0])
    distiller.attach_reference(None)
    distiller.compile("sgd", label_loss())
    assert "reference_loss" not in distiller.fit(x, y, verbose=0).history
