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


SOURCES = [py_dataset, pytest.param(generator, marks=pytest.mark.compiles)] + {
    "tensorflow": [tf_data],
    "torch": [data_loader],
}.get(keras.backend.backend(), [])


class Frame:
    """A table as pandas has it: with a shape, but no type of all its numbers."""

    def __init__(self, values):
        self.values = values
        self.shape = values.shape

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def tables():
    return {"x": Frame(X), "y": Y, "sample_weight": W, "batch_size": 8, "seed": 1}


def endless_py_dataset():
    class Endless(Batches):
        def __len__(self):
            raise NotImplementedError

        @property
        def num_batches(self):
            return None

    return {"x": Endless(X, Y, 8), "steps_per_epoch": 4}


def endless_tf_data():
    return {"x": tf_data()["x"].repeat(), "steps_per_epoch": 4}


def tf_data_of_unknown_length():
    return {"x": tf_data()["x"].filter(lambda *batch: True)}


def endless_data_loader():
    torch = pytest.importorskip("torch")

    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            return zip(X, Y)

    return {"x": torch.utils.data.DataLoader(Endless(), batch_size=8)}


OF_UNKNOWN_LENGTH = [tables, endless_py_dataset] + {
    "tensorflow": [endless_tf_data, tf_data_of_unknown_length],
    "torch": [endless_data_loader],
}.get(keras.backend.backend(), [])


@pytest.mark.parametrize("backup", [pytest.param(False, marks=pytest.mark.compiles), True])
@pytest.mark.parametrize("source", OF_UNKNOWN_LENGTH)
def test_a_sequence_takes_data_that_do_not_tell_their_length(tmp_path, source, backup):
    teacher, student = dense(8), dense(3)
    distiller = smskd.SequentialDistiller([smskd.KDDistiller(teacher, student) for _ in range(2)])
    distiller.compile("sgd", label_loss())
    history = distiller.fit(**source(), verbose=0, backup_dir=tmp_path if backup else None)
    assert np.isfinite(history.history["loss"]).all()


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
