"""Equal to the published reference implementations: losses and gradients."""

import numpy as np
import pytest
from keras import ops

from tests import parity
from tests.autodiff import value_and_gradients

CASES, ARRAYS = parity.load()


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case):
    if parity.adapter(case) is None:
        pytest.skip("not mapped")
    inputs = {name: ARRAYS[given["key"]] for name, given in case["inputs"].items()}
    expected, tolerance = case["expected"], case["tolerance"]
    loss, gradients = value_and_gradients(lambda **tensors: loss_and_extras(case, **tensors)[0], inputs)
    np.testing.assert_allclose(
        loss, ARRAYS[expected["loss_f64"]], rtol=tolerance["loss_rtol"], atol=tolerance["loss_atol"]
    )
    for name, key in expected["grads"].items():
        rtol = 0 if "gradient_is_zero_up_to_rounding" in case["flags"] else tolerance["grad_rtol"]
        np.testing.assert_allclose(
            gradients[name], ARRAYS[key], rtol=rtol, atol=tolerance["grad_atol"][name], err_msg=name
        )
    extras = loss_and_extras(case, **map_to_tensors(inputs))[1] if expected["extras"] else {}
    for name, extra in extras.items():
        np.testing.assert_allclose(
            ops.convert_to_numpy(extra), ARRAYS[expected["extras"][name]["key"]], rtol=5e-4, atol=5e-5, err_msg=name
        )


def loss_and_extras(case, **tensors):
    result = parity.adapter(case)(case, **tensors)
    return result if isinstance(result, tuple) else (result, {})


def map_to_tensors(inputs):
    return {name: ops.convert_to_tensor(value) for name, value in inputs.items()}


def test_every_implemented_method_has_a_case():
    assert set(parity.ADAPTERS) <= {case["method"] for case in CASES}
