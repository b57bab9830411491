"""What the errors propose does."""

import keras
import pytest

import keras_smskd as smskd
from tests.bad_input.of_models import probabilities
from tests.bad_input.of_sequences import forgetful
from tests.bad_input.world import KD, TEACHER, X, Y, fit
from tests.models import dense


@pytest.mark.parametrize("arguments", [{"reference_weight": 0}, {"student_factory": lambda: forgetful({})}])
def test_a_student_that_cannot_be_cloned(arguments):
    student = forgetful({})
    distiller = smskd.SequentialDistiller([KD(TEACHER, student), KD(TEACHER, student)], **arguments)
    assert len(fit(distiller).epoch) == 2


def test_a_softmax_is_taken_off():
    teacher = probabilities()
    teacher.layers[-1].activation = keras.activations.linear
    KD(teacher, dense(3))


def functional(model, softmax):
    inputs = keras.Input((6,))
    return keras.Model(inputs, softmax(model(inputs)))


def sequential(model, softmax):
    return keras.Sequential([keras.Input((6,)), model, softmax])


@pytest.mark.parametrize("make", [functional, sequential])
def test_a_softmax_behind_a_model_is_taken_off(make):
    teacher = make(dense(5), keras.layers.Softmax())
    with pytest.raises(ValueError, match=r"`keras.Model\(teacher.inputs\[0\], teacher.layers\[-1\].input\)`"):
        KD(teacher, dense(3))
    KD(keras.Model(teacher.inputs[0], teacher.layers[-1].input), dense(3))


def test_a_softmax_behind_a_model_of_several_inputs_is_taken_off():
    inputs = [keras.Input((6,)), keras.Input((6,))]
    added = keras.layers.Add()(inputs)
    teacher, student = (keras.Model(inputs, last(dense(5)(added))) for last in (keras.layers.Softmax(), keras.ops.tanh))
    with pytest.raises(ValueError, match=r"`keras.Model\(teacher.input, teacher.layers\[-1\].input\)`"):
        KD(teacher, student)
    KD(keras.Model(teacher.input, teacher.layers[-1].input), student)


def test_the_student_of_a_distiller_teaches():
    KD(KD(TEACHER, dense(5)).student, dense(3))


def test_a_frozen_student_is_set_free():
    student = dense(3)
    student.trainable = False
    distiller = KD(TEACHER, student)
    student.trainable = True
    fit(distiller)


def test_without_a_label_weight_no_loss_is_needed():
    distiller = KD(TEACHER, dense(3), label_weight=0)
    distiller.compile("sgd")
    distiller.fit(X, Y, verbose=0)


def test_a_softmax_in_bfloat16_is_found():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        teachers = [probabilities() for _ in range(5)]
    finally:
        keras.config.set_dtype_policy("float32")
    for teacher in teachers:
        with pytest.raises(ValueError, match="ends in a softmax"):
            KD(teacher, dense(3))
