"""Every method: it joins others in one stage, on PyTorch any other, for one step; and each in double precision."""

import functools
import itertools

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from benchmarks.every_method import METHODS, make
from tests.models import images, label_loss, with_every_layer

SAMPLES = 8
NOT_EQUAL_TO_SUM = {
    "CRD": "its negatives are drawn",
    "MGD": "what it masks is drawn",
    "SSKD": "the views that it adds count in the student's batch normalisation",
}


@functools.cache
def distillers(precision="float32"):
    """A distiller of every method, all of the same models."""
    keras.utils.set_random_seed(0)
    teacher = with_every_layer(8)
    student = smskd.reuse_classifier(teacher, with_every_layer(4), layers={"stage3": "stage3"})
    return {method: make(method, teacher, student, SAMPLES, SAMPLES) for method in METHODS}


@functools.cache
def loss_of(*methods):
    """The distillation loss of a step that moves nothing, of methods of equal weight."""
    joint = smskd.JointDistiller([distillers()[method] for method in methods], weights=[1.0] * len(methods))
    joint.compile(keras.optimizers.SGD(0.0), label_loss(), run_eagerly=True)
    return step(joint)


def step(distiller):
    x, y = images(SAMPLES)
    x = {"inputs": x, "index": np.arange(SAMPLES)} if distiller.needs_index else x
    return distiller.train_on_batch(x, y, return_dict=True)["distillation_loss"]


ANY_TWO = list(itertools.combinations(METHODS, 2))
ONCE = [tuple(METHODS[start::7]) for start in range(7)]
GROUPS = ANY_TWO if keras.backend.backend() == "torch" else ONCE  # A step that is not compiled is slow elsewhere.


@pytest.mark.slow
@pytest.mark.parametrize("methods", GROUPS, ids="+".join)
def test_methods_join(methods):
    loss = loss_of(*methods)
    assert loss > 0
    if not set(methods) & set(NOT_EQUAL_TO_SUM):
        np.testing.assert_allclose(loss, sum(loss_of(method) for method in methods), rtol=1e-3)


@pytest.mark.compiles
@pytest.mark.parametrize("method", METHODS)
def test_every_method_in_double_precision(method):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        distiller = distillers("float64")[method]
        distiller.compile("sgd", label_loss(), run_eagerly=True)
        assert np.isfinite(step(distiller))
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
