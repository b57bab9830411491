import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_smskd.distillers.sskd import SSKDDistiller, sskd_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import CLASSES, assert_same_weights, convolutional, images, label_loss, weights_of

TEMPERATURES, WEIGHTS = (4.0, 0.5, 4.0), (0.9, 10.0, 2.7)


class TestSSKD(DistillerContract):
    """The features of a sample are the logits of its four views with their embeddings behind them."""

    shapes = ((4, CLASSES + 6), (4, CLASSES + 5))
    ratios = (1.0, 0.0)

    def draw_shapes(self, draw):
        """Four views of four classes and more are given."""
        return self.shapes

    def make(self, teacher, student, **arguments):
        ratios = dict(zip(("similarity_ratio", "rotation_ratio"), self.ratios, strict=True))
        return SSKDDistiller(teacher, student, layers={"pool": "pool"}, **ratios, **arguments)

    def loss(self, teacher, student, y):
        teacher, teacher_embeddings = apart(teacher, ops)
        student, student_embeddings = apart(student, ops)
        return sskd_loss(
            teacher, student, teacher_embeddings, student_embeddings, y, *TEMPERATURES, *WEIGHTS, *self.ratios
        )

    def expected(self, teacher, student, y):
        (teacher, teacher_embeddings), (student, student_embeddings) = map(apart, (teacher, student))
        return expected.sskd(
            teacher, student, teacher_embeddings, student_embeddings, y, TEMPERATURES, WEIGHTS, self.ratios
        )

    def expected_terms(self, distiller, x, y):
        rows = distiller.augment(ops.convert_to_tensor(x))
        logits, embeddings = [], []
        heads = distiller.teacher_head, distiller.student_head
        for model, head, training in zip((distiller.teacher, distiller.student), heads, (False, True), strict=True):
            both = keras.Model(model.input, [model.get_layer("pool").output, model.output])(rows, training=training)
            logits.append(ops.convert_to_numpy(both[1]))
            embeddings.append(ops.convert_to_numpy(head(both[0])))
        terms = expected.sskd(*logits, *embeddings, y, TEMPERATURES, WEIGHTS, self.ratios)
        return expected.cross_entropy(logits[1][::4], y), terms


def apart(features, library=np):
    """Logits and embeddings."""
    rows = library.reshape(features, (-1, features.shape[-1]))
    return rows[:, :CLASSES], rows[:, CLASSES:]


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 0.75, 1.0])
def test_a_share_of_what_the_teacher_gets_wrong_is_kept(ratio):
    generator = np.random.default_rng(0)
    logits, embeddings = generator.normal(size=(2, 40, 8)), generator.normal(size=(2, 40, 5))
    embeddings += 2 * np.repeat(generator.normal(size=(2, 10, 5)), 4, axis=1)
    y = generator.integers(0, 8, 10)
    arrays = [array.astype("float32") for array in (*logits, *embeddings)]
    received = sskd_loss(*map(ops.convert_to_tensor, (*arrays, y)), *TEMPERATURES, *WEIGHTS, ratio, ratio)
    exact = expected.sskd(*logits, *embeddings, y, TEMPERATURES, WEIGHTS, (ratio, ratio))
    np.testing.assert_allclose(ops.convert_to_numpy(received), exact, rtol=1e-3)
    one_hot = np.eye(8, dtype="float32")[y]
    for labels in (one_hot, 0.6 * one_hot + 0.4 * np.roll(one_hot, 1, axis=0)):  # Of soft ones the most probable.
        again = sskd_loss(*map(ops.convert_to_tensor, (*arrays, labels)), *TEMPERATURES, *WEIGHTS, ratio, ratio)
        np.testing.assert_array_equal(ops.convert_to_numpy(received), ops.convert_to_numpy(again))


def made(**arguments):
    keras.utils.set_random_seed(0)
    return SSKDDistiller(convolutional(4), convolutional(3), **{"layers": {"pool": "pool"}, **arguments})


def test_the_views_are_rotations():
    x, _ = images(2, size=3)
    rows = ops.convert_to_numpy(made().augment(ops.convert_to_tensor(x)))
    np.testing.assert_array_equal(rows, [np.rot90(image, turns) for image in x for turns in range(4)])


@pytest.mark.compiles
def test_the_stage_before_trains_the_teachers_head_alone():
    x, y = images(16)
    distiller = made()
    initial = distiller.initial()
    untouched = (distiller.student, distiller.teacher, distiller.student_head)
    before, head = [weights_of(model) for model in untouched], weights_of(distiller.teacher_head)
    initial.compile(keras.optimizers.Adam(0.01))
    loss = initial.fit(x, y, batch_size=16, epochs=5, verbose=0).history["distillation_loss"]
    assert loss[-1] < loss[0]
    assert loss[0] < np.log(16) + 1
    for model, weights in zip(untouched, before, strict=True):
        assert_same_weights(model, weights)
    assert any((a != b).any() for a, b in zip(weights_of(distiller.teacher_head), head, strict=True))


@pytest.mark.compiles
def test_its_own_stage_trains_the_students_head_and_leaves_the_teachers():
    x, y = images(8)
    distiller = made()
    of_teacher, of_student = weights_of(distiller.teacher_head), weights_of(distiller.student_head)
    distiller.compile("sgd", label_loss())
    distiller.fit(x, y, verbose=0)
    assert_same_weights(distiller.teacher_head, of_teacher)
    assert any((a != b).any() for a, b in zip(weights_of(distiller.student_head), of_student, strict=True))


@pytest.mark.compiles
def test_images_may_have_a_name():
    x, y = images(8)

    def named(model):
        image = keras.Input((8, 8, 1))
        return keras.Model({"image": image}, model(image))

    teacher, student = named(convolutional(4, "own")), named(convolutional(3, "own"))
    distiller = SSKDDistiller(teacher, student, layers={"own/pool": "own/pool"})
    distiller.compile("sgd", label_loss())
    assert np.isfinite(distiller.fit({"image": x}, y, verbose=0).history["loss"][0])


def test_one_pair_of_layers_and_square_images():
    with pytest.raises(ValueError, match="`layers` of SSKD must have one entry"):
        made(layers={"pool": "pool", "stage2": "stage2"})
    wide = [keras.Sequential([keras.Input((4, 6, 1)), layers.Flatten(name="pool"), layers.Dense(3)]) for _ in range(2)]
    with pytest.raises(ValueError, match=r"`student` must take square images for SSKD.*\(None, 4, 6, 1\)"):
        SSKDDistiller(*wide, layers={"pool": "pool"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0}, "`temperature` must be a finite number above 0"),
        ({"similarity_temperature": 0}, "`similarity_temperature` must be a finite number above 0"),
        ({"rotation_temperature": 0}, "`rotation_temperature` must be a finite number above 0"),
        ({"logits_weight": -1}, "`logits_weight` must be a finite number of at least 0"),
        ({"similarity_weight": -1}, "`similarity_weight` must be a finite number of at least 0"),
        ({"rotation_weight": -1}, "`rotation_weight` must be a finite number of at least 0"),
        ({"similarity_ratio": 2}, "`similarity_ratio` must be a number from 0 to 1"),
        ({"rotation_ratio": 2}, "`rotation_ratio` must be a number from 0 to 1"),
    ],
)
def test_numbers_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        made(**arguments)
