"""Transformer encoders with padded token sequences, distilled by every method that reads sequences."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_smskd.distillers.attention import AttentionDistiller
from keras_smskd.distillers.cosine import CosineDistiller
from keras_smskd.distillers.hidden import HiddenDistiller
from keras_smskd.distillers.minilm import MiniLMDistiller
from keras_smskd.distillers.mmd import MMDDistiller
from keras_smskd.distillers.pkd import PKDDistiller
from keras_smskd.features import layer_paths
from tests import expected
from tests.models import assert_same_weights, label_loss, weights_of

LENGTH, PADDED = 6, 4


def encoder(size, heads=2, dropout=0.0, length=LENGTH):
    """Token ids and a padding mask in, two blocks with `attention0` and `block0` and so on, logits out."""
    inputs = {name: keras.Input((length,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    # Keras's own initializer is so narrow that all tokens attend alike.
    states = layers.Embedding(20, size, embeddings_initializer=keras.initializers.RandomNormal(stddev=1))(
        inputs["token_ids"]
    )
    for block in range(2):
        attend = layers.MultiHeadAttention(heads, size // heads, dropout=dropout, name=f"attention{block}")
        attended = attend(states, states, attention_mask=inputs["padding_mask"][:, None, :])
        states = layers.LayerNormalization()(layers.Add()([states, attended]))
        fed = layers.Dense(size)(layers.Dense(2 * size, activation="gelu")(states))
        states = layers.LayerNormalization(name=f"block{block}")(layers.Add()([states, fed]))
    return keras.Model(inputs, layers.Dense(3, name="head")(states[:, 0]))


def tokens(samples=8, length=LENGTH, seed=0):
    """Token sequences of which every second one is padded."""
    generator = np.random.default_rng(seed)
    mask = np.ones((samples, length), "int32")
    mask[1::2, PADDED:] = 0
    x = {"token_ids": generator.integers(0, 20, (samples, length)).astype("int32"), "padding_mask": mask}
    return x, generator.integers(0, 3, samples)


def hidden_states(method, teacher, student, **arguments):
    return method(teacher, student, layers={"block0": "block0", "block1": "block1"}, **arguments)


def attention(teacher, student, **arguments):
    return AttentionDistiller(teacher, student, layers={"attention0/softmax": "attention0/softmax"}, **arguments)


def minilm(teacher, student, **arguments):
    relations = {f"attention0/{layer}": f"attention0/{layer}" for layer in ("softmax", "value")}
    return MiniLMDistiller(teacher, student, layers=relations, **arguments)


MASKED = {"mask": "padding_mask"}
METHODS = {
    "Hidden": lambda *models: hidden_states(HiddenDistiller, *models, **MASKED),
    "Cosine": lambda *models: hidden_states(CosineDistiller, *models, **MASKED),
    "MMD": lambda *models: hidden_states(MMDDistiller, *models, consecutive=True, **MASKED),
    "PKD": lambda *models: hidden_states(PKDDistiller, *models),
    "MiniLM, attention": lambda *models: minilm(*models, **MASKED),
    "attention": lambda *models: attention(*models, **MASKED),
    "attention, cross-entropy": lambda *models: attention(*models, cross_entropy=True, merge_heads=True, **MASKED),
}
TEACHER_HEADS = {"attention, cross-entropy": 4}


@pytest.fixture(params=METHODS)
def distiller(request):
    keras.utils.set_random_seed(0)
    # Attention has scores to read only with dropout. They come before it, so they are the same in every step.
    dropout = 0.1 if "attention" in request.param else 0.0
    teacher, student = encoder(16, TEACHER_HEADS.get(request.param, 2), dropout), encoder(8, 2, dropout)
    return METHODS[request.param](teacher, student)


def compiled(distiller, learning_rate):
    distiller.label_weight = 0.0
    distiller.compile(keras.optimizers.SGD(learning_rate), label_loss())
    return distiller


@pytest.mark.compiles
def test_training_lowers_the_loss_and_leaves_the_teacher(distiller):
    x, y = tokens(16)
    teacher = weights_of(distiller.teacher)
    history = compiled(distiller, 0.1).fit(x, y, batch_size=16, epochs=5, verbose=0).history["distillation_loss"]
    assert history[-1] < history[0]
    assert_same_weights(distiller.teacher, teacher)


@pytest.mark.compiles
def test_what_stands_in_the_padding_does_not_count(distiller):
    x, y = tokens()
    changed = {**x, "token_ids": np.where(x["padding_mask"] == 1, x["token_ids"], 19)}
    compiled(distiller, 0.0)
    losses = [distiller.train_on_batch(given, y, return_dict=True)["distillation_loss"] for given in (x, changed)]
    assert (changed["token_ids"] != x["token_ids"]).any()
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_the_configuration_keeps_the_mask():
    distiller = METHODS["Hidden"](encoder(16), encoder(8))
    assert distiller.get_config()["mask"] == "padding_mask"
    assert type(distiller).from_config(distiller.get_config()).mask == "padding_mask"


def test_hidden_states_of_the_kept_tokens_are_matched():
    keras.utils.set_random_seed(0)
    x, y = tokens()
    teacher, student = encoder(8), encoder(8)
    distiller = compiled(HiddenDistiller(teacher, student, layers={"block1": "block1"}, **MASKED), 0.0)
    loss = distiller.train_on_batch(x, y, return_dict=True)["distillation_loss"]
    states = [
        ops.convert_to_numpy(keras.Model(model.input, model.get_layer("block1").output)(x))
        for model in (teacher, student)
    ]
    np.testing.assert_allclose(loss, expected.hidden(*states, x["padding_mask"]).mean(), rtol=1e-4)


@pytest.mark.compiles
def test_the_softmax_of_keras_gives_the_attention():
    keras.utils.set_random_seed(0)
    teacher, student = encoder(16, dropout=0.1), encoder(8, dropout=0.1)
    x, y = tokens()
    distiller = compiled(attention(teacher, student, **MASKED), 0.0)
    loss = distiller.train_on_batch(x, y, return_dict=True)["distillation_loss"]
    probabilities = [scores_of(model, x) for model in (teacher, student)]
    np.testing.assert_allclose(loss, expected.attention_scores(*probabilities, x["padding_mask"]).mean(), rtol=1e-3)


def test_a_mask_has_an_entry_for_each_token():
    inputs = {name: keras.Input((size,), name=name) for name, size in (("tokens", 6), ("flag", 1))}
    states = layers.Reshape((6, 1), name="states")(inputs["tokens"] * inputs["flag"])
    teacher, student = (keras.Model(inputs, layers.Dense(3)(layers.Flatten()(states))) for _ in range(2))
    with pytest.raises(ValueError, match=r"`mask` must .* an entry for each of 6 tokens.*mask='flag'"):
        HiddenDistiller(teacher, keras.models.clone_model(student), layers={"states": "states"}, mask="flag")


def test_the_number_that_keras_puts_behind_a_name_may_be_left_out():
    distiller = METHODS["MiniLM, attention"](encoder(16, dropout=0.1), encoder(8, dropout=0.1))
    reloaded = MiniLMDistiller.from_config(distiller.get_config())
    names = [[path for path in layer_paths(own.student) if "softmax" in path] for own in (distiller, reloaded)]
    assert names[0] != names[1]
    assert reloaded.layer_pairs == distiller.layer_pairs


def scores_of(model, x):
    """What Keras itself returns as the scores of the first attention layer."""
    layer = model.get_layer("attention0")
    states = keras.Model(model.input, layer.input[0] if isinstance(layer.input, list) else layer.input)(x)
    mask = x["padding_mask"][:, None, :].astype(bool)
    return ops.convert_to_numpy(layer(states, states, attention_mask=mask, return_attention_scores=True)[1])


def test_fused_attention_has_no_scores_and_says_so():
    with pytest.raises(ValueError, match="fired 0 times.*only with `dropout` above 0"):
        attention(encoder(16), encoder(8))


@pytest.mark.compiles
def test_sequences_of_any_length():
    keras.utils.set_random_seed(0)
    distiller = compiled(METHODS["Hidden"](encoder(16, length=None), encoder(8, length=None)), 0.1)
    for length in (LENGTH, 9):
        x, y = tokens(length=length)
        assert np.isfinite(distiller.fit(x, y, verbose=0).history["loss"]).all()
