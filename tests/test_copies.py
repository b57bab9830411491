"""A copy takes over what a model has learned since, whatever the names of the layers in both are."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_smskd as smskd
from keras_smskd.copies import take_over
from keras_smskd.reference import freeze_copy
from tests.models import CLASSES, logits


def block(name):
    """Layers named like those of every other block."""
    return keras.Sequential([layers.BatchNormalization(name="norm"), layers.ReLU()], name=name)


def nested():
    """A model of whose clone the inner layers have no path of their own."""
    pool, head = layers.GlobalAveragePooling2D(name="pool"), layers.Dense(CLASSES, name="head")
    return keras.Sequential([keras.Input((5, 5, 3)), block("first"), block("second"), pool, head])


def shared():
    inputs, layer = keras.Input((5, 5, 3)), block("shared")
    pooled = layers.GlobalAveragePooling2D()(layer(layer(inputs)))
    return keras.Model(inputs, layers.Dense(CLASSES, name="head")(pooled))


@keras.saving.register_keras_serializable("tests")
class Siblings(keras.Model):
    """Two layers of one name."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = (layers.Dense(3, name="dense", activation="tanh") for _ in range(2))
        self.head = layers.Dense(CLASSES, name="head")

    def call(self, x):
        return self.head(ops.mean(self.second(self.first(x)), axis=(1, 2)))


def siblings():
    model = Siblings()
    model(np.zeros((1, 5, 5, 3)))
    return model


def learn(model):
    """Gives all weights other values."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.uniform(0.5, 2.0, weight.shape))


X = np.random.default_rng(1).normal(size=(4, 5, 5, 3)).astype("float32")


@pytest.mark.parametrize("build", [nested, shared, siblings])
def test_what_was_learned_since(build):
    model = build()
    copy = freeze_copy(model)
    learn(model)
    assert not np.allclose(logits(copy, X), logits(model, X))
    take_over(copy, model)
    np.testing.assert_array_equal(logits(copy, X), logits(model, X))


def test_a_copy_of_a_model_that_has_learned():
    model = nested()
    learn(model)
    np.testing.assert_array_equal(logits(freeze_copy(model), X), logits(model, X))


def test_outputs_that_are_no_numbers_do_not_tell_a_copy_apart():
    """The example is random: of negative numbers this model makes NaN."""
    inputs = keras.Input((4,))
    student = keras.Sequential([inputs, Logarithm(), layers.Dense(CLASSES)])
    assert freeze_copy(student).count_params() == student.count_params()


@keras.saving.register_keras_serializable("tests")
class Logarithm(layers.Layer):
    def call(self, x):
        return ops.log(x)


def test_simkd_takes_over_a_student_that_has_learned():
    teacher, student = nested(), nested()
    learn(student)
    reused = smskd.reuse_classifier(teacher, student, layers={"second": "second"})
    maps = [keras.Model(model.inputs, model.get_layer("second").output) for model in (student, reused)]
    np.testing.assert_array_equal(*(logits(of_map, X) for of_map in maps))
