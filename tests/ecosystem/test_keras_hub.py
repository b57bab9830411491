"""Classifiers of KerasHub, which get tensors that are preprocessed."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_smskd as smskd
from tests.ecosystem.world import SOFT_LABEL_LOSS, soft_labels, trained
from tests.models import CLASSES

models = pytest.importorskip("keras_hub").models


def bert(width):
    size = {"num_layers": 2, "num_heads": 2, "hidden_dim": width, "intermediate_dim": 16}
    backbone = models.BertBackbone(vocabulary_size=20, max_sequence_length=32, dropout=0.0, **size)
    return models.BertTextClassifier(backbone, CLASSES, preprocessor=None, dropout=0.0)


def tokens(samples=8):
    """What a preprocessor of BERT makes of texts, the second half of which are short."""
    generator = np.random.default_rng(0)
    mask = np.ones((samples, 6), "int32")
    mask[samples // 2 :, 4:] = 0
    ids = generator.integers(1, 20, (samples, 6)) * mask
    return {"token_ids": ids, "padding_mask": mask, "segment_ids": np.zeros_like(ids)}


def test_texts_with_adapters_in_the_backbone():
    """`enable_lora` of a backbone freezes all but layers inside of attention, of which no configuration tells."""
    keras.utils.set_random_seed(0)
    teacher, student = bert(16), bert(8)
    student.backbone.enable_lora(2)
    before = [ops.convert_to_numpy(v) for v in student.backbone.variables]
    block = {"bert_backbone/transformer_layer_1": "bert_backbone/transformer_layer_1"}
    hidden = smskd.HiddenDistiller(teacher, student, layers=block, mask="padding_mask")
    y = np.arange(8) % CLASSES
    trained(hidden, smskd.KDDistiller(teacher, student), tokens(), tokens(), y, optimizer=keras.optimizers.Adam(0.01))
    after = [ops.convert_to_numpy(v) for v in student.backbone.variables]
    changed = {v.name for v, old, new in zip(student.backbone.variables, before, after) if (old != new).any()}
    assert {"lora_kernel_b"} <= changed <= {"lora_kernel_a", "lora_kernel_b", "bias"}


def vit(width, patch_size):
    size = {"num_layers": 1, "num_heads": 2, "hidden_dim": width, "mlp_dim": 16}
    backbone = models.ViTBackbone(image_shape=(16, 16, 3), patch_size=patch_size, **size)
    return models.ViTImageClassifier(backbone, CLASSES, preprocessor=None)


def test_images_with_soft_labels():
    keras.utils.set_random_seed(0)
    teacher, student = vit(16, 4), vit(8, 4)
    x = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
    tokens = {"vi_t_backbone/vit_encoder": "vi_t_backbone/vit_encoder"}
    cosine = smskd.HiddenDistiller(teacher, student, layers=tokens)
    relations = smskd.RKDDistiller(teacher, student, layers=tokens)
    history = trained(cosine, relations, x, x, soft_labels(8), epochs=2, loss=SOFT_LABEL_LOSS)
    assert history["reference_loss"][-1] > 0
