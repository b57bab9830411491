"""What holds for every method, on a few drawn cases; `python -m benchmarks.fuzz` tries thousands."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies

from benchmarks.every_method import METHODS
from tests.properties import PROPERTIES
from tests.properties.cases import EXACT, FEW_SHAPES, SHAPES, distiller_of, move, noise, precision, unchanged
from tests.properties.steps import COUPLED, ORDERED, left_out, reordered

pytestmark = pytest.mark.compiles

# On JAX, which compiles every operation of every method, a few: which samples meet is no matter of the backend.
SOME_METHODS = METHODS[::11] if FEW_SHAPES else METHODS
EXAMPLES = {"torch": 8, "tensorflow": 2, "jax": 1}[keras.backend.backend()]


@pytest.mark.parametrize("check", PROPERTIES, ids=lambda check: check.__name__)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # To make a failing case smaller takes minutes; these are small as they are.
    suppress_health_check=list(HealthCheck),
)
@given(data=strategies.data())
def test_property(check, data):
    check(data.draw)


def are_equal(method, steps_of):
    """Whether the distillation losses of the two steps that `steps_of` makes of a fixed case are."""
    shape = SHAPES[1]
    with precision(EXACT):
        distiller = distiller_of(method, shape, EXACT)
        with unchanged(distiller):
            move(distiller, 5)
            received, expected = (terms["distillation_loss"] for terms, _ in steps_of(distiller, noise(shape, 8, 5)))
    return bool(np.isclose(received, expected, rtol=1e-5, atol=1e-7))


@pytest.mark.parametrize("method", SOME_METHODS)
def test_methods_that_compare_samples_are_those_that_are_said_to(method):
    assert are_equal(method, lambda *case: left_out(*case, sample=2)) == (method not in COUPLED)


@pytest.mark.parametrize("method", SOME_METHODS)
def test_methods_that_depend_on_the_order_are_those_that_are_said_to(method):
    order = np.array([3, 0, 7, 4, 1, 6, 2, 5])
    assert are_equal(method, lambda *case: reordered(*case, order, np.ones(8))) == (method not in ORDERED)
