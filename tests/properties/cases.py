"""A distiller of any method on drawn models and data, and what a training step does to its variables."""

import contextlib
import dataclasses
import functools
from typing import NamedTuple

import keras
import numpy as np
from hypothesis import strategies
from keras import layers, ops

import keras_smskd as smskd
from benchmarks.every_method import make
from keras_smskd.reference import Reference
from tests.models import with_every_layer

SAMPLES = 8

# JAX compiles every operation anew for every shape.
FEW_SHAPES = keras.backend.backend() == "jax"


def sizes(smallest, largest):
    """Numbers of samples."""
    return strategies.just(largest) if FEW_SHAPES else strategies.integers(smallest, largest)


def batch_sizes(smallest, samples):
    """Sizes of batches, the last of which may be a part."""
    return strategies.just(5) if FEW_SHAPES else strategies.integers(smallest, samples)


class Shape(NamedTuple):
    """Sizes of the images, the widths of teacher and student, and the number of classes."""

    size: int = 8
    channels: int = 1
    teacher: int = 8
    student: int = 4
    classes: int = 4


SHAPES = [Shape(), Shape(4, 3, 4, 4, 2), Shape(6, 2, 6, 2, 7), Shape(10, 1, 4, 8, 3)]
REFERENCE_WEIGHT = 0.7

# In double precision no ReLU near 0 falls to another side in a batch of another order. On PyTorch the results are not
# double for that: Keras rounds products, maxima and reduced losses to float32, and RKD takes differences of products.
# A sample too many or a wrong weight shows in the second digit. JAX has float32 alone.
EXACT = "float32" if keras.backend.backend() == "jax" else "float64"
TOLERANCE = {"torch": 1e-4, "tensorflow": 1e-8, "jax": 1e-3}[keras.backend.backend()]


@contextlib.contextmanager
def precision(policy):
    """Models that are made and trained inside compute in this dtype policy."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64" if policy == "float64" else "float32")
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(before)


@functools.cache
def models(shape, policy, reused):
    """Teachers, and a student that keeps samples apart, or one that SimKD can train, which does not."""
    keras.utils.set_random_seed(0)
    sizes = shape.size, shape.channels, shape.classes
    teachers = [with_every_layer(shape.teacher, *sizes) for _ in range(2)]
    student = with_every_layer(shape.student, *sizes, normalization=layers.LayerNormalization)
    if reused:
        student = smskd.reuse_classifier(teachers[0], student, layers={"stage3": "stage3"})
    return teachers, student


@functools.cache
def distiller_of(method, shape, policy, reused=False):
    """A distiller, made once; those of the same models share them. Call it where the `precision` is `policy`."""
    teachers, student = models(shape, policy, reused or method == "SimKD")
    keras.utils.set_random_seed(0)
    return make(method, teachers[0], student, SAMPLES, SAMPLES)


@functools.cache
def reference_of(shape, policy, reused):
    return Reference(models(shape, policy, reused)[1])


@contextlib.contextmanager
def unchanged(*distillers):
    """Whatever is trained inside, all variables are afterwards as they were."""
    variables = list({id(variable): variable for each in distillers for variable in each.variables}.values())
    before = [np.array(ops.convert_to_numpy(variable)) for variable in variables]
    warmups = [each.warmup_epochs for each in distillers]
    try:
        yield
    finally:
        for variable, value in zip(variables, before):
            variable.assign(value)
        for each, warmup in zip(distillers, warmups):
            each.warmup_epochs = warmup


def move(model, seed):
    """Draws all kernels anew and adds noise to the rest, the same on every backend: no bias is 0 then, no scale 1."""
    generator = np.random.default_rng(seed)
    for variable in [variable for variable in model.weights if variable.trainable]:
        value = ops.convert_to_numpy(variable).astype("float32")
        variable.assign((value if value.ndim < 2 else 0.0) + 0.3 * generator.normal(size=value.shape))


@dataclasses.dataclass
class Batch:
    """Samples with labels; `index` says which of the training data they are."""

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray

    def taken(self, which):
        """Some of the samples, or all in another order."""
        return Batch(self.x[which], self.y[which], self.index[which])

    def inputs_of(self, distiller):
        return {"inputs": self.x, "index": self.index} if distiller.needs_index else self.x


def noise(shape, samples, seed, dtype="float32"):
    """Random images and class ids."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(samples, shape.size, shape.size, shape.channels)).astype("float32").astype(dtype)
    return Batch(x, generator.integers(0, shape.classes, samples), np.arange(samples, dtype="int32"))


def compiled(distiller, y, optimizer=None, run_eagerly=True):
    """Compiles for labels of this form, without what would hide an overflow: a scaled loss whose step is left out."""
    sparse = y.ndim == 1 or y.shape[1] == 1
    kind = keras.losses.SparseCategoricalCrossentropy if sparse else keras.losses.CategoricalCrossentropy
    optimizer = keras.optimizers.SGD(1.0) if optimizer is None else optimizer
    distiller.compile(optimizer, kind(from_logits=True), run_eagerly=run_eagerly, auto_scale_loss=False)
    return distiller


def step(distiller, batch, **weights):
    """Terms of the loss in a step of gradient descent, and how far it moves every variable; it is then undone."""
    compiled(distiller, batch.y).reset_metrics()
    with unchanged(distiller):
        before = values_of(distiller.trainable_variables)
        logs = distiller.train_on_batch(batch.inputs_of(distiller), batch.y, return_dict=True, **weights)
        after = values_of(distiller.trainable_variables)
    terms = {"label_loss": distiller.label_weight, "distillation_loss": distiller.distillation_weight}
    terms |= {"reference_loss": distiller.reference_weight} if distiller.reference else {}
    assert_near(logs["loss"], sum(float(weight.numpy()) * logs[term] for term, weight in terms.items()))
    return {term: float(logs[term]) for term in ("loss", *terms)}, {name: after[name] - before[name] for name in after}


def values_of(variables):
    """Copies of variables by their identity."""
    return {id(variable): np.array(ops.convert_to_numpy(variable)) for variable in variables}


def assert_near(received, expected, scale=0.0):
    """Equal up to rounding, relative to the numbers themselves or to a `scale` of which they are a small part."""
    atol = TOLERANCE * max(scale, 1e-3)
    np.testing.assert_allclose(received, expected, rtol=TOLERANCE, atol=atol)


def assert_same_step(received, expected, but=None):
    """All terms `but` one are equal, and so is every move, up to rounding of the largest."""
    terms, moves = zip(received, expected)
    assert terms[0].keys() == terms[1].keys()
    for term in terms[0].keys() - {but}:
        assert_near(terms[0][term], terms[1][term])
    assert moves[0].keys() == moves[1].keys()
    largest = max(np.abs(moved).max() for moved in moves[1].values())
    for name in moves[0]:
        assert_near(moves[0][name], moves[1][name], largest)


def combined(*steps):
    """The sum of steps, each `(factor, step)`."""
    terms = {term: sum(factor * terms[term] for factor, (terms, _) in steps) for term in steps[0][1][0]}
    moves = {name: sum(factor * moves[name] for factor, (_, moves) in steps) for name in steps[0][1][1]}
    return terms, moves


@contextlib.contextmanager
def drawn(draw, methods, spare=0, policy=EXACT, reused=False, reference=True):
    """Distillers of the same models for methods, with other weights, and a batch; undone at the end.

    The batch has `spare` samples more, or more than that, than the methods need.
    """
    shape = draw(strategies.sampled_from(SHAPES[1:2] if FEW_SHAPES else SHAPES))
    reused = reused or "SimKD" in methods
    with precision(policy):
        distillers = [distiller_of(method, shape, policy, reused) for method in methods]
        of_reference = reference_of(shape, policy, reused) if reference else None
        smallest = max(each.smallest_batch for each in distillers)
        size = draw(sizes(smallest + spare, SAMPLES))
        seed = draw(strategies.integers(0, 2**16))
        for each in distillers:
            each.attach_reference(of_reference, REFERENCE_WEIGHT)
        try:
            with unchanged(*distillers):
                if reference:
                    move(of_reference.student, seed + 1)
                    of_reference.update()
                for each in distillers:
                    each.label_weight = draw(strategies.sampled_from([0.0, 0.3, 1.0]))
                    each.distillation_weight = draw(strategies.sampled_from([0.0, 0.5, 2.0]))
                    move(each, seed)
                yield distillers, noise(shape, size, seed), shape
        finally:
            for each in distillers:
                each.attach_reference(None)
