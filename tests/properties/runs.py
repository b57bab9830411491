"""Properties of a whole `fit`."""

import keras
import numpy as np
from hypothesis import strategies
from keras import ops

import keras_smskd as smskd
from tests.properties.cases import EXACT, FEW_SHAPES, batch_sizes, compiled, drawn, unchanged
from tests.properties.drawn import LABELS, methods, soft, weights_of_batch


def a_run_is_finite(draw):
    """Loss, gradient and variables are finite whatever the precision, the data, the labels and the weights.

    A gradient that is not leaves a variable that is not, however small the rate.
    """
    policy = draw(strategies.sampled_from(POLICIES))
    with drawn(draw, [draw(methods)], policy=policy, reference=draw(strategies.booleans())) as ([distiller], batch, _):
        kind = draw(strategies.sampled_from(sorted(INPUTS)))
        x = INPUTS[kind](batch.x).astype(draw(strategies.sampled_from(["float16", "float32", "float64"])))
        y = draw(strategies.sampled_from([*LABELS.values(), soft]))(batch.y, distiller.classes)
        how = draw(strategies.sampled_from(["none", "sample_weight", "class_weight"]))
        own = weights_of_batch(draw, how, len(x), distiller.classes)
        batch_size = draw(batch_sizes(distiller.smallest_batch, len(x)))
        compiled(distiller, y, keras.optimizers.SGD(1e-6), run_eagerly=not FEW_SHAPES)
        history = distiller.fit(x, y, batch_size=batch_size, verbose=0, **own).history
        assert history.keys() >= {"loss", "label_loss", "distillation_loss"}
        for term, values in history.items():
            assert np.isfinite(values).all(), term
        for variable in distiller.variables:
            assert np.isfinite(ops.convert_to_numpy(variable).astype("float64")).all(), variable.path


POLICIES = ["float32", "float64", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16"]

INPUTS = {
    "noise": lambda x: x,
    "large": lambda x: 30 * x,
    "small": lambda x: 1e-4 * x,
    "zero": np.zeros_like,
    "constant": np.ones_like,
    "one zero sample": lambda x: x * (np.arange(len(x)) > 0).reshape(-1, 1, 1, 1),
    "duplicates": lambda x: np.repeat(x[:1], len(x), axis=0),
    "integers": np.round,
}


def one_stage_is_its_distiller(draw):
    """A sequence of one stage trains as its distiller alone does: the same variables and logs, bit for bit."""
    policy = draw(strategies.sampled_from(["float32", EXACT]))
    with drawn(draw, [draw(methods)], policy=policy, reference=False) as ([distiller], batch, _):
        run = draw_run(draw, [distiller], batch)
        expected = run([distiller])
        received = run([smskd.SequentialDistiller([distiller])])
        assert_same_run(received, expected)


def reference_weight_0_is_training_by_hand(draw):
    """A sequence with `reference_weight=0` trains as its distillers do that are compiled and fitted one by one."""
    pair = [draw(methods), draw(methods)]
    with drawn(draw, pair, reference=False) as (distillers, batch, _):
        run = draw_run(draw, distillers, batch)
        distillers[1].warmup_epochs = draw(strategies.sampled_from([0, 3]))
        # The sequence first: nothing of it may stay in its distillers.
        received = run([smskd.SequentialDistiller(distillers, reference_weight=0)])
        assert_same_run(received, run(distillers))


def draw_run(draw, distillers, batch):
    """A function that trains distillers by one model after another, and returns what comes of it."""
    y = draw(strategies.sampled_from([LABELS["int64"], soft]))(batch.y, distillers[0].classes)
    how = draw(strategies.sampled_from(["none", "sample_weight", "class_weight"]))
    own = weights_of_batch(draw, how, len(batch.x), distillers[0].classes)
    arguments = {"epochs": draw(strategies.integers(1, 2)), "shuffle": draw(strategies.booleans()), **own}
    smallest = max(distiller.smallest_batch for distiller in distillers)
    arguments["batch_size"] = draw(batch_sizes(smallest, len(batch.x)))
    optimizer = draw(strategies.sampled_from([keras.optimizers.Adam, keras.optimizers.SGD]))

    def run(trained):
        with unchanged(*distillers):
            keras.utils.set_random_seed(1)
            logs = []
            for each in trained:
                logs.append(compiled(each, y, optimizer(1e-3)).fit(batch.x, y, verbose=0, **arguments).history)
            variables = [np.array(ops.convert_to_numpy(variable)) for each in distillers for variable in each.weights]
        return {term: np.concatenate([log[term] for log in logs]) for term in logs[0]}, variables

    return run


def assert_same_run(received, expected):
    """Logs and variables of two runs are equal bit for bit."""
    assert received[0].keys() == expected[0].keys()
    for term in expected[0]:
        np.testing.assert_array_equal(received[0][term], expected[0][term], err_msg=term)
    for value, other in zip(received[1], expected[1], strict=True):
        np.testing.assert_array_equal(value, other)
