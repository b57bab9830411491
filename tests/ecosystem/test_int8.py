"""Quantised teachers and students."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_smskd as smskd
from tests import expected
from tests.ecosystem.world import step, trained
from tests.models import dense, logits, vectors, weights_of

X, Y = vectors(16)


def stages(teacher, student):
    fitnet = smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}, distillation_weight=1.0)
    return fitnet, smskd.KDDistiller(teacher, student)


def quantized(model, mode):
    model.quantize(mode)
    return model


def test_what_an_int8_teacher_says_is_learned():
    keras.utils.set_random_seed(0)
    teacher, student = dense(8), dense(6)
    of_float32 = logits(teacher, X)
    teacher.quantize("int8")
    logs = step(smskd.KDDistiller(teacher, student, temperature=2.0), X, Y)
    losses = [expected.kd(each, logits(student, X), 2.0).mean() for each in (logits(teacher, X), of_float32)]
    np.testing.assert_allclose(logs["distillation_loss"], losses[0], rtol=1e-5)
    assert abs(losses[1] / losses[0] - 1) > 1e-4


def test_features_of_an_int8_layer_are_learned():
    history = trained(*stages(quantized(dense(8), "int8"), dense(6)), X, X, Y, epochs=3)
    assert history["distillation_loss"][2] < history["distillation_loss"][0]


@pytest.mark.compiles
def test_a_float8_student_learns_with_its_scales():
    """The one training of Keras that knows of the quantisation: layers compute in float8, with scales that follow."""
    student = quantized(dense(6), "float8")
    before = weights_of(student)
    trained(*stages(dense(8), student), X, X, Y, epochs=2, run_eagerly=False)  # Keras cannot on TensorFlow.
    changed = {v.name for v, old in zip(student.variables, before) if (ops.convert_to_numpy(v) != old).any()}
    assert {"kernel", "bias", "kernel_scale", "inputs_amax_history"} <= changed


@pytest.mark.compiles
def test_of_a_quantised_student_biases_and_adapters_train():
    student = quantized(dense(6), "int8")
    for layer in student.layers:
        layer.enable_lora(2)
    before = weights_of(student)
    trained(*stages(dense(8), student), X, X, Y, optimizer=keras.optimizers.SGD(0.1), epochs=2)
    changed = {v.name for v, old in zip(student.variables, before) if (ops.convert_to_numpy(v) != old).any()}
    assert changed == {"bias", "lora_kernel_a", "lora_kernel_b"}
