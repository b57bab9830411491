"""What a first step would make is there before it, so that TensorFlow traces the step once."""

import keras
import numpy as np
import pytest

from keras_smskd import KDDistiller
from tests.models import CLASSES, dense, label_loss, vectors

X, Y = vectors(16)
ONE_HOT = np.eye(CLASSES, dtype="float32")[Y]


def distiller(loss=None):
    keras.utils.set_random_seed(0)
    distiller = KDDistiller(dense(5), dense(3))
    distiller.compile("adam", loss or label_loss(), metrics=["accuracy"], weighted_metrics=["accuracy"])
    return distiller


def generator(x, y):
    for start in (0, 8):
        yield x[start : start + 8], y[start : start + 8]


def dataset(x, y):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)


@pytest.mark.parametrize(
    ("y", "loss"), [(Y, label_loss()), (ONE_HOT, keras.losses.CategoricalCrossentropy(from_logits=True))]
)
@pytest.mark.parametrize("source", [dataset, lambda x, y: (x, y)], ids=["dataset", "arrays"])
def test_a_step_is_traced_once_and_metrics_begin_at_zero(source, y, loss):
    trained, as_keras_builds = distiller(loss), distiller(loss)
    data = source(X, y)
    data = {"x": data[0], "y": data[1], "batch_size": 8, "shuffle": False} if isinstance(data, tuple) else {"x": data}
    steps, step = [], trained.train_step
    trained.train_step = lambda *args, **kwargs: (steps.append(1), step(*args, **kwargs))[1]
    received = trained.fit(**data, verbose=0).history
    if keras.backend.backend() == "tensorflow":
        assert len(steps) == 1
    expected = as_keras_builds.fit(generator(X, y), verbose=0).history
    assert received.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(received[name], values, rtol=1e-5, err_msg=name)
