"""What a first step would make is there before it, so that TensorFlow traces the step once."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd import KDDistiller
from tests.models import CLASSES, dense, label_loss, vectors

X, Y = vectors(16)
ONE_HOT = np.eye(CLASSES)[Y]  # Of float64, which Keras casts.


class Squared(keras.metrics.MeanMetricWrapper):
    """Takes labels of the dtype of the logits alone, needs two samples, and keeps what it has counted."""

    def __init__(self):
        super().__init__(self.squared, name="squared")

    def squared(self, y, logits):
        assert y.dtype == logits.dtype
        assert logits.shape[0] in (None, 8)
        return ops.mean((y - logits) ** 2, axis=-1)

    def reset_state(self):
        pass


def distiller(loss, metrics):
    keras.utils.set_random_seed(0)
    distiller = KDDistiller(dense(5), dense(3))
    distiller.compile("adam", loss, metrics=metrics, weighted_metrics=["accuracy"])
    return distiller


def as_fed(y):
    """Labels as Keras makes them of arrays."""
    return y.astype("float32") if y.ndim > 1 else y


def generator(x, y):
    for start in (0, 8):
        yield x[start : start + 8], as_fed(y)[start : start + 8]


def arrays(x, y):
    return {"x": x, "y": y, "batch_size": 8, "shuffle": False}


def dataset(x, y):
    tf = pytest.importorskip("tensorflow")
    return {"x": tf.data.Dataset.from_tensor_slices((x, as_fed(y))).batch(8)}


@pytest.mark.parametrize(
    ("y", "loss", "metrics"),
    [
        (Y, label_loss(), lambda: ["accuracy"]),
        (ONE_HOT, keras.losses.CategoricalCrossentropy(from_logits=True), lambda: ["accuracy", Squared()]),
    ],
    ids=["ids", "one_hot"],
)
@pytest.mark.parametrize("source", [arrays, dataset])
def test_a_step_is_traced_once_and_metrics_begin_at_zero(source, y, loss, metrics):
    trained, as_keras_builds = distiller(loss, metrics()), distiller(loss, metrics())
    steps, step = [], trained.train_step
    trained.train_step = lambda *args, **kwargs: (steps.append(1), step(*args, **kwargs))[1]
    received = trained.fit(**source(X, y), verbose=0).history
    if keras.backend.backend() == "tensorflow":
        assert len(steps) == 1
    expected = as_keras_builds.fit(generator(X, y), verbose=0).history
    assert received.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(received[name], values, rtol=1e-5, err_msg=name)
