"""Every data source of Keras works, and gives what arrays give."""

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from tests.bad_input.world import Batches
from tests.models import dense, label_loss, vectors, weights_of

X, Y = vectors(32)
W = np.linspace(0, 2, 32).astype("float32")


def arrays():
    return {"x": X, "y": Y, "sample_weight": W, "batch_size": 8, "shuffle": False}


def py_dataset():
    class Weighted(Batches):
        def __getitem__(self, index):
            part = slice(index * 8, (index + 1) * 8)
            return X[part], Y[part], W[part]

    return {"x": Weighted(X, Y, 8), "shuffle": False}


def generator():
    def batches():
        while True:
            for start in range(0, 32, 8):
                part = slice(start, start + 8)
                yield X[part], Y[part], W[part]

    return {"x": batches(), "steps_per_epoch": 4, "shuffle": False}


def tf_data():
    tensorflow = pytest.importorskip("tensorflow")
    return {"x": tensorflow.data.Dataset.from_tensor_slices((X, Y, W)).batch(8), "shuffle": False}


def data_loader():
    torch = pytest.importorskip("torch")
    tensors = torch.utils.data.TensorDataset(*map(torch.from_numpy, (X, Y, W)))
    return {"x": torch.utils.data.DataLoader(tensors, batch_size=8), "shuffle": False}


SOURCES = [py_dataset, generator] + {"tensorflow": [tf_data], "torch": [data_loader]}.get(keras.backend.backend(), [])


def trained(source):
    keras.utils.set_random_seed(0)
    teacher, student = dense(8), dense(3)
    stages = [
        smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}),
        smskd.RKDDistiller(teacher, student, layers={"hidden": "hidden"}),
    ]
    distiller = smskd.SequentialDistiller(stages)
    distiller.compile(keras.optimizers.SGD(0.01), label_loss(), weighted_metrics=["accuracy"])
    history = distiller.fit(**source(), epochs=2, verbose=0, validation_data=(X, Y))
    return history.history, weights_of(student)


@pytest.fixture(scope="module")
def from_arrays():
    return trained(arrays)


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_students_come_out(source, from_arrays):
    history, weights = trained(source)
    epochs = 2 if source is generator else 4  # Keras reads ahead, so the next stage finds other batches first.
    for term in ("loss", "label_loss", "distillation_loss", "reference_loss", "accuracy", "val_loss"):
        np.testing.assert_allclose(history[term][:epochs], from_arrays[0][term][:epochs], rtol=1e-4, err_msg=term)
    assert np.isfinite(history["loss"]).all()
    if source is generator:
        return
    for received, expected in zip(weights, from_arrays[1], strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-5)
