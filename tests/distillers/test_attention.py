import itertools

import keras
import numpy as np
import pytest
from hypothesis import strategies
from keras import layers, ops

from keras_smskd.distillers.attention import AttentionDistiller, attention_loss
from tests import expected
from tests.autodiff import value_and_gradients
from tests.contract import DistillerContract
from tests.models import CLASSES, convolutional


@keras.saving.register_keras_serializable("tests")
class SelfAttention(layers.Layer):
    """The attention of tokens to each other, `(batch, heads, length, length)`, by their values for each head."""

    def call(self, values):
        values = ops.transpose(values, (0, 2, 1, 3))
        return ops.softmax(ops.matmul(values, ops.transpose(values, (0, 1, 3, 2))), axis=-1)


def attentive(width, name=None, heads=2):
    """Images in, `values` and `attention` of four patches, logits out; a chain of layers."""
    chain = [
        keras.Input((8, 8, 1)),
        layers.Conv2D(2 * width, 4, strides=4),
        layers.Reshape((4, heads, 2 * width // heads), name="values"),
        SelfAttention(name="attention"),
        layers.Flatten(),
        layers.Dense(CLASSES, name="head"),
    ]
    x = inputs = chain[0]
    for layer in chain[1:]:
        x = layer(x)
    return keras.Model(inputs, x, name=name)


class TestAttention(DistillerContract):
    shapes = ((2, 4, 4), (2, 4, 4))
    layer = "attention"
    arguments = {}

    @pytest.fixture(autouse=True)
    def _models(self, monkeypatch):
        monkeypatch.setattr("tests.contract.convolutional", attentive)

    def draw_shapes(self, draw):
        heads, length = (draw(strategies.integers(1, 7)) for _ in range(2))
        return ((heads, length, length),) * 2

    def make(self, teacher, student, **arguments):
        return AttentionDistiller(teacher, student, layers={"attention": "attention"}, **self.arguments, **arguments)

    def loss(self, teacher, student, y):
        return attention_loss(teacher, student, **self.arguments)

    def expected(self, teacher, student, y):
        return expected.attention_scores(teacher, student, **self.arguments)


FORMS = [
    {"cross_entropy": a, "merge_heads": b, "from_logits": c} for a, b, c in itertools.product([False, True], repeat=3)
]
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 0]])


def scores(heads, from_logits, seed=0):
    generator = np.random.default_rng(seed)
    raw = generator.normal(size=(3, heads, 5, 5)).astype("float32")
    return raw if from_logits else np.exp(raw) / np.exp(raw).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_values_of_every_form(form, mask):
    student_heads = 4 if form["merge_heads"] else 2
    teacher, student = scores(2, form["from_logits"]), scores(student_heads, form["from_logits"], seed=1)
    tensors = map(ops.convert_to_tensor, (teacher, student))
    losses = attention_loss(*tensors, None if mask is None else ops.convert_to_tensor(mask), **form)
    np.testing.assert_allclose(
        ops.convert_to_numpy(losses), expected.attention_scores(teacher, student, mask, **form), rtol=1e-4
    )


def test_probabilities_and_scores_agree_in_cross_entropy():
    pairs = [[scores(2, from_logits, seed) for seed in (0, 1)] for from_logits in (True, False)]
    of_scores, of_probabilities = (
        attention_loss(*map(ops.convert_to_tensor, (*pair, MASK)), cross_entropy=True, from_logits=from_logits)
        for pair, from_logits in zip(pairs, (True, False), strict=True)
    )
    np.testing.assert_allclose(ops.convert_to_numpy(of_scores), ops.convert_to_numpy(of_probabilities), rtol=1e-5)


@pytest.mark.parametrize("from_logits", [True, False])
def test_cross_entropy_is_finite_for_certain_attention(from_logits):
    teacher, student = (
        np.tile(np.eye(5, dtype="float32")[order], (3, 2, 1, 1)) for order in (slice(None), slice(None, None, -1))
    )
    if from_logits:
        teacher, student = 1e3 * teacher, 1e3 * student
    loss, gradients = value_and_gradients(
        lambda student: ops.mean(
            attention_loss(ops.convert_to_tensor(teacher), student, cross_entropy=True, from_logits=from_logits)
        ),
        {"student": student},
    )
    assert 0 < loss < 1e4
    assert np.isfinite(gradients["student"]).all()


def test_what_is_masked_does_not_count():
    teacher, student = scores(2, True), scores(2, True, seed=1)
    for form in FORMS:
        if form["cross_entropy"] == form["from_logits"]:
            changed = np.where(MASK[:, None, :, None] == 1, student, 7.0).astype("float32")
            losses = [
                ops.convert_to_numpy(attention_loss(*map(ops.convert_to_tensor, (teacher, x, MASK)), **form))
                for x in (student, changed)
            ]
            np.testing.assert_array_equal(*losses)


@pytest.mark.parametrize("form", [form for form in FORMS if form["from_logits"]], ids=str)
def test_scores_of_padding_may_be_minus_infinity(form):
    padding = MASK[:, None, None, :] == 0
    teacher, student = (np.where(padding, -np.inf, scores(2, True, seed)).astype("float32") for seed in (0, 1))
    loss, gradients = value_and_gradients(
        lambda student: ops.mean(attention_loss(ops.convert_to_tensor(teacher), student, MASK, **form)),
        {"student": student},
    )
    assert np.isfinite(loss)
    assert np.isfinite(gradients["student"]).all()


def test_the_number_of_heads_may_differ_only_where_they_are_merged():
    teacher, student = attentive(4, heads=4), attentive(3, heads=2)
    AttentionDistiller(teacher, student, layers={"attention": "attention"}, merge_heads=True)
    with pytest.raises(ValueError, match=r"unless `merge_heads` is True.*\(None, 4, 4, 4\) and \(None, 2, 4, 4\)"):
        AttentionDistiller(teacher, student, layers={"attention": "attention"})


def test_layers_must_output_attention():
    with pytest.raises(ValueError, match="`layers` of Attention must name layers whose outputs have 3 axes"):
        AttentionDistiller(convolutional(4), convolutional(3), layers={"pool": "pool"})
