"""Classifiers of KerasCV as teacher and student of each other, with its augmentation in a `tf.data` pipeline."""

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.reference import Reference
from tests import expected
from tests.ecosystem.world import SOFT_LABEL_LOSS, step, trained
from tests.models import CLASSES, logits

if keras.backend.backend() != "tensorflow":
    pytest.skip("KerasCV's augmentation needs TensorFlow", allow_module_level=True)
tf = pytest.importorskip("tensorflow")
keras_cv = pytest.importorskip("keras_cv")

SHAPE = (16, 16, 3)


def classifier(backbone):
    return keras_cv.models.ImageClassifier(backbone=backbone, num_classes=CLASSES, activation=None)


def resnet(width):
    stages = {"stackwise_filters": [width], "stackwise_blocks": [1], "stackwise_strides": [1]}
    return classifier(keras_cv.models.ResNetBackbone(**stages, input_shape=SHAPE, include_rescaling=True))


def densenet(width):
    stages = {"stackwise_num_repeats": [1], "growth_rate": width}
    return classifier(keras_cv.models.DenseNetBackbone(**stages, input_shape=SHAPE, include_rescaling=True))


def augmented(samples=16, batch_size=8):
    """Batches of images that are distorted, cut and mixed, with labels that are mixed alike."""
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 255, (samples, *SHAPE)).astype("float32")
    labels = np.eye(CLASSES, dtype="float32")[generator.integers(0, CLASSES, samples)]
    batches = tf.data.Dataset.from_tensor_slices({"images": images, "labels": labels}).batch(batch_size)
    distort = keras_cv.layers.RandAugment(value_range=(0, 255), augmentations_per_image=1, seed=0)
    for augment in (distort, keras_cv.layers.CutMix(seed=0), keras_cv.layers.MixUp(seed=0)):
        batches = batches.map(lambda batch, augment=augment: augment(batch, training=True))
    return batches.map(lambda batch: (batch["images"], batch["labels"]))


@pytest.fixture(scope="module")
def batch():
    x, y = (tensor.numpy() for tensor in next(iter(augmented())))
    assert ((y > 0).sum(axis=1) > 1).any()
    np.testing.assert_allclose(y.sum(axis=1), 1.0, rtol=1e-5)
    return x, y


@pytest.mark.parametrize(
    "makers",
    [(resnet, densenet), pytest.param((densenet, resnet), marks=pytest.mark.slow)],
    ids=["resnet", "densenet"],
)
def test_teacher_and_student_of_augmented_data(makers, batch):
    keras.utils.set_random_seed(0)
    teacher, student = makers[0](8), makers[1](4)
    layers = {"avg_pool": "avg_pool"}
    fitnet = smskd.FitNetDistiller(teacher, student, layers=layers, distillation_weight=1.0)
    history = trained(fitnet, smskd.KDDistiller(teacher, student), batch[0], augmented(), loss=SOFT_LABEL_LOSS)
    assert history["reference_loss"][1] > 0


def test_a_layer_of_the_backbone_is_a_path():
    teacher, student = resnet(8), resnet(4)
    backbones = [model.layers[1] for model in (teacher, student)]
    paths = [f"{backbone.name}/{backbone.layers[-1].name}" for backbone in backbones]
    assert smskd.ATDistiller(teacher, student, layers=dict([paths])).shape_pairs == (((4, 4, 32), (4, 4, 16)),)


def cross_entropy(labels, outputs):
    return -np.array([label @ np.log(expected.softmax(each)) for label, each in zip(labels, outputs.astype(float))])


def of_soft_labels(teacher, student, y):
    """What methods that read labels give for soft ones, in NumPy; DKD and NKD take the most probable class."""
    ids, certain = y.argmax(axis=1), np.zeros(len(y), int)
    weights = 1 - np.exp(-cross_entropy(y, student) / cross_entropy(y, teacher))
    return {
        "KD": expected.kd(teacher, student, 4.0),
        "DKD": expected.dkd(teacher, student, ids, 4.0, 1.0, 8.0),
        "NKD": expected.nkd(teacher, student, ids, 1.0, 1.5),
        "WSLD": weights
        / expected.wsld_weights(teacher, student, certain)
        * expected.wsld(teacher, student, certain, 4.0),
    }


@pytest.fixture(scope="module")
def models():
    keras.utils.set_random_seed(0)
    return resnet(8), resnet(4)


def test_soft_labels_flow_through_every_loss(models, batch):
    x, y = batch
    outputs = logits(models[0], x), logits(models[1], x, training=True)
    for method, losses in of_soft_labels(*outputs, y).items():
        logs = step(getattr(smskd, f"{method}Distiller")(*models), x, y, SOFT_LABEL_LOSS)
        np.testing.assert_allclose(logs["distillation_loss"], losses.mean(), rtol=2e-3, err_msg=method)
    np.testing.assert_allclose(logs["label_loss"], cross_entropy(y, outputs[1]).mean(), rtol=1e-3)


def test_soft_labels_weigh_the_reference(models, batch):
    x, y = batch
    reference = Reference(models[1], temperature=2.0)
    reference.model.layers[-1].bias.assign(np.arange(CLASSES))
    distiller = smskd.KDDistiller(*models)
    distiller.attach_reference(reference)
    tcp = [expected.softmax(each) @ label for each, label in zip(logits(models[0], x).astype(float), y)]
    losses = (1 - np.array(tcp)) * expected.kd(logits(reference.model, x), logits(models[1], x, training=True), 2.0)
    np.testing.assert_allclose(step(distiller, x, y, SOFT_LABEL_LOSS)["reference_loss"], losses.mean(), rtol=2e-3)
