"""Equal to the published reference implementations: losses and gradients."""

import numpy as np
import pytest

from tests import parity
from tests.autodiff import value_and_gradients

CASES, ARRAYS = parity.load()
MAPPED = [case for case in CASES if parity.adapter(case)]


@pytest.mark.parametrize("case", MAPPED, ids=[case["id"] for case in MAPPED])
def test_case(case):
    inputs = {name: ARRAYS[given["key"]] for name, given in case["inputs"].items()}
    loss, gradients = value_and_gradients(lambda **tensors: parity.adapter(case)(case, **tensors), inputs)
    expected, tolerance = case["expected"], case["tolerance"]
    np.testing.assert_allclose(
        loss, ARRAYS[expected["loss_f64"]], rtol=tolerance["loss_rtol"], atol=tolerance["loss_atol"]
    )
    for name, key in expected["grads"].items():
        rtol = 0 if "gradient_is_zero_up_to_rounding" in case["flags"] else tolerance["grad_rtol"]
        np.testing.assert_allclose(
            gradients[name], ARRAYS[key], rtol=rtol, atol=tolerance["grad_atol"][name], err_msg=name
        )


def test_every_implemented_method_has_a_case():
    assert set(parity.ADAPTERS) <= {case["method"] for case in MAPPED}
