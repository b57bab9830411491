"""What the base gives to a method: layouts, views, sample indices, warm-up, the configuration."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_smskd as smskd
from keras_smskd.layouts import as_maps, as_sequences
from tests import expected
from tests.models import CLASSES, convolutional, dense, images, label_loss, logits, vectors


def fitted(distiller, x, y, epochs=1, **arguments):
    distiller.compile(keras.optimizers.SGD(0.0), label_loss())
    return distiller.fit(x, y, epochs=epochs, verbose=0, **arguments).history


@pytest.mark.parametrize("class_token", [0, 1])
def test_tokens_become_maps_and_maps_tokens(class_token):
    maps = np.arange(2 * 3 * 3 * 4, dtype="float32").reshape(2, 3, 3, 4)
    tokens = np.concatenate([np.full((2, class_token, 4), -1, "float32"), maps.reshape(2, 9, 4)], axis=1)
    np.testing.assert_array_equal(ops.convert_to_numpy(as_maps(tokens)), maps)
    np.testing.assert_array_equal(ops.convert_to_numpy(as_sequences(maps)), maps.reshape(2, 9, 4))
    with pytest.raises(ValueError, match=r"square length. Received: an output of shape \(None, 8, 4\)"):
        as_maps(tokens[:, :8])


def transformer(width, name=None):
    """Images in, tokens `tokens` of 4 x 4 patches, logits out."""
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Reshape((16, width))(layers.Conv2D(width, 2, strides=2)(x))
    x = layers.LayerNormalization(name="tokens")(x + layers.MultiHeadAttention(1, width)(x, x))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)), name=name)


@pytest.mark.parametrize("method", [smskd.ATDistiller, smskd.FitNetDistiller, smskd.SPDistiller])
@pytest.mark.parametrize("into", ["transformer", "convolutional"])
def test_convolutional_and_transformer_models_teach_each_other(method, into):
    models = {"stage1": convolutional(4), "tokens": transformer(6)}
    of_teacher, of_student = ("stage1", "tokens") if into == "transformer" else ("tokens", "stage1")
    x, y = images(8)
    distiller = method(models[of_teacher], models[of_student], layers={of_teacher: of_student}, distillation_weight=1.0)
    assert np.isfinite(fitted(distiller, x, y)["loss"]).all()


class Indexed(smskd.Distiller):
    """Its loss is the square of the difference between a sample's index and its first input."""

    needs_index = True

    def distillation_loss(self, teacher, student, y):
        return (ops.cast(student["index"], "float32") - student["inputs"][:, 0]) ** 2 + 0 * student["logits"][:, 0]


def test_the_index_stays_with_its_sample():
    x, y = vectors(32)
    x[:, 0] = np.arange(32)
    distiller = Indexed(dense(3), dense(2))
    assert fitted(distiller, x, y, epochs=2, batch_size=8, validation_split=0.25)["distillation_loss"] == [0.0, 0.0]
    source = ({"inputs": x[batch], "index": batch.astype("int32")} for batch in np.split(np.arange(32), 4))
    batches = ((inputs, y[inputs["index"]]) for inputs in source)
    assert fitted(distiller, batches, None, steps_per_epoch=4)["distillation_loss"] == [0.0]
    np.testing.assert_array_equal(distiller.predict(x, verbose=0), distiller.student.predict(x, verbose=0))
    with pytest.raises(ValueError, match="Indexed needs to know which sample is which"):
        fitted(distiller, (batch for batch in [(x, y)]), None, steps_per_epoch=1)


class Views(smskd.Distiller):
    """Its loss compares the models on a sample with those on its negative."""

    views = 2

    def augment(self, x):
        return ops.reshape(ops.stack([x, -x], axis=1), (-1, *x.shape[1:]))

    def distillation_loss(self, teacher, student, y):
        of_views = [ops.reshape(of_model["views"]["logits"], (-1, 2, CLASSES)) for of_model in (teacher, student)]
        for of_model, views in zip((teacher, student), of_views):
            assert tuple(of_model["logits"].shape[1:]) == tuple(views.shape[2:])
        return ops.sum((of_views[0][:, 1] - of_views[1][:, 1]) ** 2, axis=-1)


@pytest.mark.parametrize("joint", [False, True])
def test_views_are_the_methods_own(joint):
    x, y = vectors(8)
    teacher, student = dense(3), dense(2)
    distiller = Views(teacher, student)
    if joint:
        distiller = smskd.JointDistiller([distiller, smskd.KDDistiller(teacher, student, distillation_weight=0.0)])
    logs = fitted(distiller, x, y, batch_size=8)
    negatives = [logits(model, -x) for model in (teacher, student)]
    np.testing.assert_allclose(
        logs["distillation_loss"], ((negatives[0] - negatives[1]) ** 2).sum(axis=-1).mean(), rtol=1e-4
    )
    np.testing.assert_allclose(logs["label_loss"], ops.convert_to_numpy(label_loss()(y, student(x))), rtol=1e-4)


@pytest.mark.parametrize("joint", [False, True])
def test_warmup_fades_in(joint):
    x, y = vectors(8)
    teacher, student = dense(3), dense(2)
    distiller = smskd.KDDistiller(teacher, student, label_weight=0.0, distillation_weight=1.0, warmup_epochs=4)
    if joint:
        distiller = smskd.JointDistiller([distiller], label_weight=0.0)
    logs = fitted(distiller, x, y, epochs=6)
    weight = np.array(logs["loss"]) / kd_of(teacher, student, x)
    np.testing.assert_allclose(weight, [0.25, 0.5, 0.75, 1, 1, 1], rtol=1e-4)


def kd_of(teacher, student, x):
    return np.mean(expected.kd(logits(teacher, x), logits(student, x), 4.0))


def test_warmup_starts_anew_in_every_stage():
    x, y = vectors(8)
    teacher, student = dense(3), dense(2)
    arguments = {"label_weight": 0.0, "distillation_weight": 1.0, "warmup_epochs": 2}
    stages = [smskd.Stage(smskd.KDDistiller(teacher, student, **arguments), epochs=3) for _ in range(2)]
    sequence = smskd.SequentialDistiller(stages, reference_weight=0.0)
    sequence.compile(keras.optimizers.SGD(0.0), label_loss())
    loss = np.array(sequence.fit(x, y, verbose=0).history["loss"])
    np.testing.assert_allclose(loss / kd_of(teacher, student, x), [0.5, 1, 1, 0.5, 1, 1], rtol=1e-4)


def test_arguments_are_kept_under_their_names():
    class Forgetful(smskd.KDDistiller):
        def __init__(self, *models, power=2, **kwargs):
            super().__init__(*models, **kwargs)

    with pytest.raises(NotImplementedError, match="Forgetful must keep the argument `power`"):
        Forgetful(dense(3), dense(2)).get_config()
