import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.dist import DISTDistiller, dist_loss
from keras_smskd.ops import correlation
from tests import expected
from tests.autodiff import value_and_gradients
from tests.contract import DistillerContract
from tests.models import CLASSES, convolutional, dense, images, label_loss


class TestDIST(DistillerContract):
    shapes = ((4,), (4,))
    scales = (0.1, 1, 3)  # Of larger logits the probabilities are 1 to float32, which leaves correlations nothing.
    arguments = {"inter_weight": 0.5, "intra_weight": 2.0, "temperature": 1.5}

    def make(self, teacher, student, **arguments):
        return DISTDistiller(teacher, student, **self.arguments, **arguments)

    def loss(self, teacher, student, y):
        return dist_loss(teacher, student, **self.arguments)

    def expected(self, teacher, student, y):
        return expected.dist(teacher, student, **self.arguments)


@pytest.mark.parametrize("clamped", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("shape", [(6, 2), (6, 100), (2, 3), (2, 3, 4, 5), (2, 7, 3)])
def test_any_shape_and_form(shape, scaled, clamped):
    teacher, student = 3 * np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    for temperature in (0.5, 20.0):
        arguments = {"temperature": temperature, "scaled": scaled, "clamped": clamped}
        loss = dist_loss(ops.convert_to_tensor(teacher), ops.convert_to_tensor(student), **arguments)
        exact = expected.dist(teacher.astype(float), student.astype(float), **arguments)
        np.testing.assert_allclose(ops.convert_to_numpy(loss), exact, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("clamped", [True, False])
def test_the_length_of_rare_classes(clamped):
    teacher, student = np.random.default_rng(0).uniform(size=(2, 4, 5)).astype("float32")
    for size in (1e-3, 1e-4, 1e-9):
        received = ops.convert_to_numpy(correlation(*map(ops.convert_to_tensor, (size * teacher, student)), clamped))
        pairs = zip(size * teacher.astype(float), student.astype(float), strict=True)
        np.testing.assert_allclose(received, [expected.correlation(*pair, clamped) for pair in pairs], rtol=1e-4)


def test_a_clamped_length_keeps_its_gradient():
    x, y = np.random.default_rng(0).uniform(size=(2, 1, 5)).astype("float32") * np.array([[[1e-9]], [[1.0]]], "float32")
    _, gradients = value_and_gradients(lambda x: ops.sum(correlation(x, ops.convert_to_tensor(y), True)), {"x": x})
    centred, direction = (vector[0].astype(float) - vector[0].mean(dtype=float) for vector in (x, y))
    direction /= np.linalg.norm(direction)
    exact = direction / 1e-8 - centred @ direction / 1e-16 * centred / np.linalg.norm(centred)
    np.testing.assert_allclose(gradients["x"][0], exact, rtol=1e-3)


@pytest.mark.parametrize("clamped", [True, False])
@pytest.mark.parametrize("length", [1, 2, 64, 1000])
@pytest.mark.parametrize("level", [0.0, 1e-3, 0.1, 1.0])
def test_a_constant_correlates_with_nothing(level, length, clamped):
    constant = np.full((1, length), level, "float32")
    other = np.random.default_rng(0).uniform(size=(1, length)).astype("float32")
    value, gradients = value_and_gradients(
        lambda x: ops.sum(correlation(x, ops.convert_to_tensor(other), clamped)), {"x": constant}
    )
    assert value == 0
    assert (gradients["x"] == 0).all()


def segmenter(width, name=None):
    """Dense logits `dense` next to the class of the image."""
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(CLASSES, 1, name="dense")(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x), name=name)


def test_dense_logits():
    x, y = images(4)
    teacher, student = segmenter(4), segmenter(2)
    distiller = DISTDistiller(teacher, student, layers={"dense": "dense"})
    assert distiller.smallest_batch == 1
    distiller.compile(keras.optimizers.SGD(0.0), label_loss())
    logs = distiller.fit(x, y, batch_size=4, verbose=0).history
    maps = [
        ops.convert_to_numpy(keras.Model(model.input, model.get_layer("dense").output)(x))
        for model in (teacher, student)
    ]
    np.testing.assert_allclose(logs["distillation_loss"], expected.dist(*maps).mean(), rtol=1e-3)


def test_layers_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"`layers` of DIST must name outputs of one shape.*\(None, 8, 8, 4\)"):
        DISTDistiller(convolutional(4), convolutional(3), layers={"stage1": "stage1"})


@pytest.mark.parametrize("argument", [{"temperature": 0.0}, {"inter_weight": -1.0}, {"intra_weight": -1.0}])
def test_out_of_range(argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"`{name}` must be a finite number"):
        DISTDistiller(dense(5), dense(3), **argument)


def test_a_batch_of_one_has_no_relations():
    assert DISTDistiller(dense(5), dense(3)).smallest_batch == 2
