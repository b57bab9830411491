"""What holds for every method, on whatever it is trained: each property draws a case with hypothesis and checks it.

`tests/test_properties.py` tries them on a few cases, `benchmarks/fuzz.py` on thousands.
"""

from tests.properties import orders, runs, steps

PROPERTIES = [
    runs.a_run_is_finite,
    steps.weights_are_linear,
    steps.weight_0_leaves_a_sample_out,
    steps.order_of_samples,
    steps.forms_of_one_batch,
    runs.one_stage_is_its_distiller,
    runs.reference_weight_0_is_training_by_hand,
    steps.a_joint_of_one_is_that_one,
    orders.order_of_joint_distillers,
    orders.order_of_teachers,
    orders.order_of_layers,
]
