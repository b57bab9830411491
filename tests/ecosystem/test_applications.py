"""Backbones of keras.applications, each with the preprocessing that it was made for."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_smskd as smskd
from tests import expected
from tests.ecosystem.world import SOFT_LABEL_LOSS, soft_labels, step, trained
from tests.models import CLASSES, logits

SHAPE = (32, 32, 3)
BACKBONE = {"weights": None, "include_top": False, "input_shape": SHAPE}


def classifier(name, backbone, last, *in_front):
    """The backbone up to a layer, which makes it small, with a head."""
    features = keras.Model(backbone.input, backbone.get_layer(last).output, name=name)
    head = [layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input(SHAPE), *in_front, features, *head])


def models():
    """A teacher whose blue, green and red are to have a mean of 0, and a student that takes pixels as they are."""
    keras.utils.set_random_seed(0)
    vgg, mobilenet = keras.applications.VGG16(**BACKBONE), keras.applications.MobileNet(alpha=0.25, **BACKBONE)
    teacher = classifier("vgg", vgg, "block2_pool")
    return teacher, classifier("mobilenet", mobilenet, "conv_pw_1_relu", layers.Rescaling(1 / 127.5, offset=-1.0))


def pixels():
    return np.random.default_rng(0).uniform(0, 255, (8, *SHAPE)).astype("float32")


@pytest.mark.slow
def test_each_model_gets_its_preprocessing():
    x = pixels()
    teacher, student = models()
    preprocessing = {"teacher_preprocessing": keras.applications.vgg16.preprocess_input}
    kd = smskd.KDDistiller(teacher, student, **preprocessing)
    of_teacher = [logits(teacher, given) for given in (x[..., ::-1] - [103.939, 116.779, 123.68], x)]
    right, wrong = (expected.kd(given, logits(student, x, training=True), 4.0).mean() for given in of_teacher)
    y = of_teacher[0].argmax(axis=1)
    assert abs(wrong / right - 1) > 1e-3
    np.testing.assert_allclose(step(kd, x, y)["distillation_loss"], right, rtol=1e-4)
    paths = {"vgg/block2_conv2": "mobilenet/conv_pw_1_relu"}
    trained(smskd.ATDistiller(teacher, student, layers=paths, **preprocessing), kd, x, x, y)


@pytest.mark.slow
def test_roles_the_other_way_round_with_soft_labels():
    student, teacher = models()
    paths = {"mobilenet/conv_pw_1_relu": "vgg/block2_conv2"}
    stages = smskd.ATDistiller(teacher, student, layers=paths), smskd.KDDistiller(teacher, student)
    optimizer = keras.optimizers.SGD(1e-6)  # VGG on raw pixels has large gradients.
    history = trained(*stages, pixels(), pixels(), soft_labels(8), epochs=2, loss=SOFT_LABEL_LOSS, optimizer=optimizer)
    assert history["reference_loss"][-1] > 0
