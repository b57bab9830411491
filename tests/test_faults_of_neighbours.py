"""The faults of `keras.distillation` (Keras 3.15), each with a test that ours does not have it."""

import zipfile

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_smskd as smskd
from keras_smskd.reference import Reference
from tests import expected
from tests.models import (
    CLASSES,
    assert_same_weights,
    convolutional,
    dense,
    images,
    label_loss,
    logits,
    vectors,
    weights_of,
)


def fitted(distiller, x, y, optimizer=None, **arguments):
    distiller.compile(optimizer or keras.optimizers.SGD(0.0), label_loss())
    return distiller.fit(x, y, batch_size=len(x), verbose=0, **arguments).history


def test_the_default_is_the_softened_divergence():
    x, y = vectors(16)
    teacher, student = dense(8), dense(3)
    logs = fitted(smskd.KDDistiller(teacher, student), x, y)
    loss = expected.kd(*(logits(model, x).astype(float) for model in (teacher, student)), 4.0).mean()
    np.testing.assert_allclose(logs["distillation_loss"], loss, rtol=1e-4)


def test_divergences_beyond_the_clip_of_keras_are_exact():
    teacher, student = np.array([[0.0, 40.0]]), np.array([[40.0, 0.0]])
    received = smskd.distillers.kd.kd_loss(ops.convert_to_tensor(teacher), ops.convert_to_tensor(student), 1.0)
    np.testing.assert_allclose(ops.convert_to_numpy(received), [40.0], rtol=1e-5)


@pytest.mark.parametrize("kind", ["sample_weight", "class_weight"])
def test_weights_of_samples_and_classes_count_in_every_term(kind):
    x, y = vectors(16)
    zero = {"sample_weight": np.zeros(16)} if kind == "sample_weight" else {"class_weight": dict.fromkeys(range(4), 0)}
    teacher, student = dense(8), dense(3)
    distiller = smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"})
    distiller.attach_reference(Reference(dense(3)))
    logs = fitted(distiller, x, y, **zero)
    for term in ("loss", "label_loss", "distillation_loss", "reference_loss"):
        assert logs[term] == [0.0]


def test_evaluate_moves_no_statistics():
    x, y = images(16)
    teacher, student = convolutional(4), convolutional(3)
    distiller = smskd.FitNetDistiller(teacher, student, layers={"stage2": "stage2"})
    fitted(distiller, x, y)
    before = weights_of(student), weights_of(teacher)
    distiller.evaluate(x, y, verbose=0)
    assert_same_weights(student, before[0])
    assert_same_weights(teacher, before[1])


def test_a_layer_inside_a_nested_model_is_reached():
    backbone = dense(5, name="backbone")
    inputs = keras.Input((6,))
    student = keras.Model(inputs, layers.Dense(CLASSES)(backbone(inputs)))
    x, y = vectors(8)
    logs = fitted(smskd.FitNetDistiller(dense(8), student, layers={"hidden": "backbone/hidden"}), x, y)
    assert logs["distillation_loss"][0] > 0


def test_labels_reach_the_loss():
    class OnlyTrueClass(smskd.Distiller):
        def distillation_loss(self, teacher, student, y):
            return ops.cast(ops.reshape(y, (-1,)), "float32")

    x, y = vectors(16)
    np.testing.assert_allclose(fitted(OnlyTrueClass(dense(8), dense(3)), x, y)["distillation_loss"], y.mean())


def test_without_labels_the_teacher_teaches_alone():
    x, _ = vectors(16)
    distiller = smskd.KDDistiller(dense(8), dense(3), label_weight=0.0)
    distiller.attach_reference(Reference(distiller.student, weighting="uniform"))
    distiller.compile(keras.optimizers.SGD(0.5))
    logs = distiller.fit(x, epochs=5, verbose=0, validation_data=(x, np.zeros(16))).history
    assert logs["val_loss"] == [0.0] * 5  # The student's own loss: it has no regularisation, and no label loss.
    assert logs["distillation_loss"][-1] < logs["distillation_loss"][0]
    assert "label_loss" not in logs
    needs_labels = smskd.DKDDistiller(dense(8), dense(3), label_weight=0.0)
    needs_labels.compile("sgd")
    with pytest.raises(ValueError, match="Labels are needed"):
        needs_labels.fit(x, verbose=0)


def test_a_method_may_return_a_scalar():
    class Scalar(smskd.Distiller):
        def distillation_loss(self, teacher, student, y):
            return ops.mean(ops.square(teacher["logits"] - student["logits"])) * 0 + 5.0

    assert fitted(Scalar(dense(8), dense(3)), *vectors(16))["distillation_loss"] == pytest.approx([5.0])


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_student_and_teacher_may_differ_in_precision(precision):
    keras.config.set_dtype_policy(precision)
    try:
        student = dense(3)
    finally:
        keras.config.set_dtype_policy("float32")
    distiller = smskd.FitNetDistiller(dense(8), student, layers={"hidden": "hidden"})
    assert np.isfinite(fitted(distiller, *vectors(16), epochs=2)["loss"]).all()
    scaled = isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")


def test_the_students_own_regularisation_counts_once_and_unweighted():
    x, y = vectors(16)
    student = dense(3, kernel_regularizer=keras.regularizers.L2(0.5))
    teacher = dense(8, kernel_regularizer=keras.regularizers.L2(100.0), activity_regularizer="l2")
    logs = fitted(smskd.KDDistiller(teacher, student, label_weight=0.0, distillation_weight=0.0), x, y, epochs=2)
    penalty = 0.5 * (ops.convert_to_numpy(student.get_layer("hidden").kernel) ** 2).sum()
    np.testing.assert_allclose(logs["loss"], [penalty] * 2, rtol=1e-5)


def test_the_saved_file_holds_the_student_alone_and_trains_on(tmp_path):
    x, y = vectors(16)
    distiller = smskd.KDDistiller(dense(64, "teacher"), dense(3, "student"))
    fitted(distiller, x, y)
    distiller.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert b"teacher" not in archive.read("config.json")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.count_params() == distiller.student.count_params()
    loaded.compile("sgd", label_loss())
    loaded.fit(x, y, verbose=0)
    distiller.save_weights(tmp_path / "model.weights.h5")
    distiller.load_weights(tmp_path / "model.weights.h5")


@pytest.mark.parametrize("role", ["teacher", "student", "reference"])
def test_a_model_cannot_be_swapped_for_one_that_does_not_train(role):
    distiller = smskd.KDDistiller(dense(8), dense(3))
    with pytest.raises(AttributeError, match=f"The `{role}` of a distiller cannot be replaced"):
        setattr(distiller, role, dense(3))
