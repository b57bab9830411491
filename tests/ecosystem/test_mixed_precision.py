"""Models in half precision: losses close to those of float32, and a loss that is scaled where float16 needs it."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_smskd as smskd
from tests.ecosystem.world import QUICK, step, trained, with_policy
from tests.models import assert_same_weights, dense, label_loss, vectors, weights_of

X, Y = vectors(16)


def in_precision(policy):
    """Teacher and student with the same weights in every precision."""
    keras.utils.set_random_seed(0)
    return [with_policy(policy, dense, 6) for _ in range(2)]


def stages(models, layer):
    return smskd.FitNetDistiller(*models, layers={layer: layer}, distillation_weight=1.0), smskd.KDDistiller(*models)


@pytest.mark.parametrize(
    ("policy", "tolerance"), [pytest.param("mixed_bfloat16", 3e-2, marks=pytest.mark.compiles), ("mixed_float16", 4e-3)]
)
def test_losses_are_those_of_float32(policy, tolerance):
    half, full = (stages(in_precision(each), "hidden") for each in (policy, "float32"))
    for of_half, of_full in zip(half, full):
        logs, right = step(of_half, X, Y), step(of_full, X, Y)
        for term in ("label_loss", "distillation_loss", "loss"):
            np.testing.assert_allclose(logs[term], right[term], rtol=tolerance)
    trained(*half, X, X, Y)


def update(policy):
    """What one step changes in the student's head, for a loss whose gradients are below all numbers of float16."""
    distiller = smskd.KDDistiller(*in_precision(policy), label_weight=0.0, distillation_weight=1e-7)
    distiller.compile(keras.optimizers.SGD(1e7), label_loss())
    head = distiller.student.get_layer("head").kernel
    before = ops.convert_to_numpy(head)
    distiller.train_on_batch(X, Y)
    return ops.convert_to_numpy(head) - before


def test_small_gradients_are_not_lost():
    full = update("float32")
    np.testing.assert_allclose(update("mixed_float16"), full, rtol=0.05, atol=0.02 * np.abs(full).max())


@pytest.mark.compiles
@pytest.mark.parametrize("on_nonfinite", ["raise", "skip_batch"])
def test_a_step_that_overflows_is_left_out_and_the_scale_halved(on_nonfinite):
    distiller = smskd.KDDistiller(*in_precision("mixed_float16"))
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**30)
    distiller.compile(optimizer, label_loss(), on_nonfinite=on_nonfinite)
    before = weights_of(distiller.student)
    distiller.train_on_batch(X, Y)
    assert_same_weights(distiller.student, before)
    assert float(ops.convert_to_numpy(optimizer.dynamic_scale)) == 2.0**29
    history = distiller.fit(X, Y, epochs=30, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert float(ops.convert_to_numpy(optimizer.dynamic_scale)) < 2.0**29


def cloned():
    """A student in float16 of which only the layers say so: Keras gives a clone the global policy."""
    student = keras.models.clone_model(with_policy("mixed_float16", dense, 6))
    assert student.dtype_policy.name == "float32"
    return student


def test_the_layers_say_whether_the_loss_is_scaled():
    distiller = smskd.SequentialDistiller(stages([dense(6), cloned()], "hidden"))
    distiller.compile("sgd", label_loss(), **QUICK)
    optimizers = [stage.distiller.optimizer for stage in distiller.stages]
    assert all(isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in optimizers)


@pytest.mark.compiles
def test_a_saved_run_goes_on_in_its_precision(tmp_path):
    x, y = vectors(16)
    distiller = smskd.SequentialDistiller(stages([dense(6), with_policy("mixed_float16", dense, 6)], "hidden"))
    distiller.compile(keras.optimizers.SGD(0.1, 0.9), label_loss(), **QUICK)
    distiller.fit(x, y, verbose=0)
    distiller.save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    assert [layer.dtype_policy.name for layer in loaded.student.layers] == ["mixed_float16"] * 2
    assert isinstance(loaded.stages[0].distiller.optimizer, keras.optimizers.LossScaleOptimizer)
    loaded.fit(x, y, verbose=0)
