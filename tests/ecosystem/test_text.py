"""Texts: a small transformer encoder learns hidden states, then attention, then the outputs of another one."""

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from tests.ecosystem.world import Snapshot
from tests.models import UNTRACED, label_loss
from tests.test_transformer_encoders import encoder

TEXTS = ["it is good", "very bad book", "so-so play", "great film it was very fine", "sad poor film", "it was average"]
WORDS = ["<pad>", *sorted({word for text in TEXTS for word in text.split()})]
LABELS = np.array([0, 1, 2, 0, 1, 2])
MASK = {"mask": "padding_mask"}


def token_ids(texts):
    """Ids of words, padded to the length of the encoder, and which of them are words."""
    ids = np.zeros((len(texts), 6), "int32")
    for row, text in zip(ids, texts):
        words = [WORDS.index(word) for word in text.split()]
        row[: len(words)] = words
    return {"token_ids": ids, "padding_mask": (ids > 0).astype("int32")}


@pytest.mark.compiles
def test_three_stages():
    keras.utils.set_random_seed(0)
    x = token_ids(TEXTS)
    teacher, student = encoder(8, dropout=0.01), encoder(8, dropout=0.01)
    snapshots = [Snapshot(x) for _ in range(2)]
    hidden, attention = ({name: name} for name in ("block1", "attention1/softmax"))
    attentive = smskd.AttentionDistiller(teacher, student, layers=attention, distillation_weight=100.0, **MASK)
    sequence = smskd.SequentialDistiller(
        [
            smskd.HiddenDistiller(teacher, student, layers=hidden, **MASK),
            smskd.Stage(attentive, callbacks=snapshots[:1]),
            smskd.Stage(smskd.KDDistiller(teacher, student, temperature=2.0), callbacks=snapshots[1:]),
        ]
    )
    sequence.compile(keras.optimizers.Adam(0.01), label_loss(), **UNTRACED)
    history = sequence.fit(x, LABELS, epochs=5, verbose=0)
    for stage in history.stages:
        assert stage.history["distillation_loss"][-1] < stage.history["distillation_loss"][0]
    for snapshot in snapshots:
        np.testing.assert_allclose(snapshot.reference, snapshot.student, rtol=1e-5, atol=1e-6)
