import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.ft import FTDistiller, ft_loss, paraphraser
from tests import expected
from tests.autodiff import value_and_gradients
from tests.contract import DistillerContract
from tests.models import assert_same_weights, convolutional, images, label_loss, weights_of


class TestFT(DistillerContract):
    shapes = ((4, 4, 7), (4, 4, 3))
    layer = "stage2"
    paraphrase = None

    def make(self, teacher, student, **arguments):
        return FTDistiller(teacher, student, layers={"stage2": "stage2"}, **arguments)

    def loss(self, teacher, student, y):
        return ft_loss(teacher, student)

    def expected(self, teacher, student, y):
        teacher = ops.convert_to_numpy(self.paraphrase(teacher)) if self.paraphrase else teacher
        return expected.ft(teacher, student)

    def test_nothing_to_learn_from_an_equal(self):
        """The size of the difference has a kink at equality, and so no gradient to compare there."""
        teacher = ops.convert_to_tensor(self.features()[0])
        np.testing.assert_allclose(ops.convert_to_numpy(ft_loss(teacher, teacher)), 0.0, atol=1e-6)

    def expected_terms(self, distiller, x, y):
        self.paraphrase = distiller.paraphrasers[0].layers[0]
        return super().expected_terms(distiller, x, y)

    def projected(self, distiller, feature):
        return ops.convert_to_numpy(distiller.translators[0](feature, training=True))


def factors():
    teacher, student = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 5)).astype("float32")
    return teacher, student


@pytest.mark.parametrize(("power", "norm"), [(2, 2), (4, 1), (None, 1), (None, 2), (None, 3)])
def test_variants(power, norm):
    teacher, student = factors()
    loss = ops.convert_to_numpy(ft_loss(*map(ops.convert_to_tensor, (teacher, student)), power, norm))
    np.testing.assert_allclose(loss, expected.ft(teacher.astype(float), student.astype(float), power, norm), rtol=1e-4)


@pytest.mark.parametrize("norm", [1, 2, 3])
def test_whole_factors_of_zeros_and_equal_ones_have_a_gradient(norm):
    teacher, student = factors()
    student[0], student[1] = 0.0, teacher[1]
    loss, gradients = value_and_gradients(
        lambda student: ops.mean(ft_loss(ops.convert_to_tensor(teacher), student, None, norm)), {"student": student}
    )
    assert np.isfinite(loss)
    assert np.abs(gradients["student"]).max() < 1e3


def made(**arguments):
    keras.utils.set_random_seed(0)
    return FTDistiller(convolutional(4), convolutional(3), layers={"stage1": "stage1", "stage2": "stage2"}, **arguments)


def test_the_stage_before_trains_the_paraphrasers_alone():
    x, y = images(16)
    distiller = made()
    initial = distiller.initial()
    student, teacher, translators = map(weights_of, (distiller.student, distiller.teacher, distiller.translators[0]))
    before = [weights_of(paraphrase) for paraphrase in distiller.paraphrasers]
    initial.compile(keras.optimizers.SGD(0.1))
    loss = initial.fit(x, y, epochs=5, verbose=0).history["distillation_loss"]
    assert loss[-1] < loss[0]
    for model, weights in (
        (distiller.student, student),
        (distiller.teacher, teacher),
        (distiller.translators[0], translators),
    ):
        assert_same_weights(model, weights)
    for paraphrase, weights in zip(distiller.paraphrasers, before, strict=True):
        assert any((a != b).any() for a, b in zip(weights_of(paraphrase), weights, strict=True))


def test_the_paraphrasers_reconstruct_the_teachers_maps():
    x, y = images(8)
    distiller = made()
    initial = distiller.initial()
    initial.compile(keras.optimizers.SGD(0.0))
    loss = initial.fit(x, y, batch_size=8, verbose=0).history["distillation_loss"][0]
    maps = [
        keras.Model(distiller.teacher.input, distiller.teacher.get_layer(path).output)(x)
        for path in ("stage1", "stage2")
    ]
    differences = [paraphrase(hint) - hint for paraphrase, hint in zip(distiller.paraphrasers, maps, strict=True)]
    exact = sum((ops.convert_to_numpy(difference) ** 2).mean() for difference in differences)
    np.testing.assert_allclose(loss, exact, rtol=1e-4)


def test_its_own_stage_trains_the_translators_and_leaves_the_paraphrasers():
    x, y = images(16)
    distiller = made()
    paraphrasers, translators = weights_of(distiller.paraphrasers[0]), weights_of(distiller.translators[0])
    distiller.compile("sgd", label_loss())
    distiller.fit(x, y, verbose=0)
    assert_same_weights(distiller.paraphrasers[0], paraphrasers)
    assert any((a != b).any() for a, b in zip(weights_of(distiller.translators[0]), translators, strict=True))


def test_the_stage_before_has_a_configuration():
    initial = made().initial()
    copy = type(initial).from_config(initial.get_config())
    assert copy.prepared[0].output_shape == (None, 8, 8, 4)


def test_a_factor_has_a_share_of_the_teachers_channels():
    encode, decode = paraphraser((4, 4, 8), 2).layers
    assert encode.output_shape == (None, 4, 4, 2)
    assert decode.output_shape == (None, 4, 4, 8)
    distiller = made(rate=0.25)
    assert [translate.output_shape[-1] for translate in distiller.translators] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0}, "`rate` must be a finite number above 0"),
        ({"rate": 2.0}, "`rate` must be a number from 0 to 1"),
        ({"power": 1.5}, "`power` must be a whole number of at least 1"),
        ({"norm": 0.5}, "`norm` must be at least 1"),
    ],
)
def test_numbers_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        made(**arguments)
