"""Views: augmented samples that are made again bit for bit, so that what the teacher knows of them is cached."""

import math

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.cache.views import CHUNK, ViewedDataset, Views
from tests.models import convolutional, images, label_loss, weights_of
from tests.test_cache import BATCH_SIZE, SAMPLES, Batches, X, Y, assert_same_run, counting, three_stages, trained

MANY = images(CHUNK + 30)[0]


def layer():
    brightness = keras.layers.RandomBrightness(0.2, value_range=(-9, 9), seed=4)
    return keras.Sequential([keras.layers.RandomFlip("horizontal", seed=3), brightness])


def noise(x, seed):
    return x + keras.ops.convert_to_numpy(keras.random.normal(x.shape, seed=seed))


AUGMENTS = {"layer": layer, "function": lambda: noise}


@pytest.mark.parametrize("make", AUGMENTS.values(), ids=AUGMENTS)
def test_a_view_is_made_again_bit_for_bit(make):
    first, second = Views(2, make(), 0), Views(2, make(), 0)
    expected = first.whole(MANY, 1)
    second.whole(MANY, 0)
    keras.random.normal((3,))
    np.testing.assert_array_equal(second.whole(MANY, 1), expected)
    np.testing.assert_array_equal(first.whole(MANY, 1), expected)
    assert expected.shape == MANY.shape
    for other in (MANY, first.whole(MANY, 0), Views(2, make(), 1).whole(MANY, 1)):
        assert np.abs(other - expected).max(axis=(1, 2, 3)).min() > 1e-4  # Every sample is another one.


def test_parts_of_the_data_are_augmented_apart():
    twice = np.concatenate([X] * (2 * CHUNK // SAMPLES + 1))[: 2 * CHUNK]
    twice[CHUNK:] = twice[:CHUNK]
    view = Views(1, layer(), 0).whole(twice, 0)
    assert np.abs(view[:CHUNK] - view[CHUNK:]).max() > 0.01


def test_a_layer_may_compute_in_bfloat16():
    rescaling = keras.layers.Rescaling(1.0, dtype="mixed_bfloat16")
    view = Views(1, rescaling, 0).whole(X, 0)
    assert view.dtype == "float32"
    np.testing.assert_array_equal(view, keras.ops.convert_to_numpy(keras.ops.cast(rescaling(X), "float32")))
    assert 1e-4 < np.abs(view - X).max() < 2**-8 * np.abs(X).max()


class InViews(keras.utils.PyDataset):
    """The batches of a run without cache on the same views, in order."""

    def __init__(self, views, weights=None):
        super().__init__()
        self.views, self.weights = views, weights
        self.begin(0)

    def __len__(self):
        return math.ceil(SAMPLES / BATCH_SIZE)

    def __getitem__(self, index):
        rows = slice(BATCH_SIZE * index, BATCH_SIZE * (index + 1))
        return (self.x[rows], Y[rows]) if self.weights is None else (self.x[rows], Y[rows], self.weights[rows])

    def begin(self, epoch):
        self.x = self.views.whole(X, epoch % self.views.count)


def online(views, weights=None, **arguments):
    """A run without cache on views."""
    dataset = InViews(views, weights)
    begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: dataset.begin(epoch))
    return trained(dataset, None, shuffle=False, callbacks=[begin], **arguments)


RUNS = {
    "more epochs than views": {"epochs": 5},
    "fewer": {"epochs": 2},
    "class weights": {"epochs": 2, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5, 3: 1.0}},
}


@pytest.mark.compiles
@pytest.mark.parametrize("arguments", RUNS.values(), ids=RUNS)
def test_the_student_is_that_of_a_run_without_cache(arguments):
    expected = online(Views(3, layer(), 7), **arguments)
    cache = smskd.Cache(views=3, augment=layer(), seed=7)
    assert_same_run(trained(**arguments, shuffle=False, cache=cache), expected)


@pytest.mark.compiles
def test_sample_weights_go_with_the_samples():
    weights = np.linspace(0, 2, SAMPLES)
    expected = online(Views(2, noise, 0), weights)
    cache = smskd.Cache(views=2, augment=noise)
    assert_same_run(trained(sample_weight=weights, shuffle=False, cache=cache), expected)


@pytest.mark.compiles
def test_stages_go_on_with_the_next_view():
    expected = online(Views(3, layer(), 0), make=three_stages)
    cache = smskd.Cache(views=3, augment=layer())
    assert_same_run(trained(make=three_stages, shuffle=False, cache=cache), expected)


def test_the_teacher_is_called_once_for_each_view(tmp_path):
    for expected in (4 * SAMPLES, 0):
        student = convolutional(3)
        keras.utils.set_random_seed(0)
        teacher, count = counting(convolutional(6))
        distiller = smskd.KDDistiller(teacher, student)
        count.assign(0.0)
        distiller.compile("sgd", label_loss())
        cache = smskd.Cache(tmp_path, views=4, augment=layer())
        distiller.fit(X, Y, batch_size=BATCH_SIZE, epochs=9, cache=cache, verbose=0)
        own = float(count.numpy())
        assert expected <= own <= expected + CHUNK  # The last part of a view is filled up to the size of the others.


@pytest.mark.compiles
def test_samples_are_shuffled_by_the_seed_of_keras():
    cache = smskd.Cache(views=2, augment=layer())
    runs = [trained(cache=cache, **arguments) for arguments in ({}, {}, {"shuffle": False})]
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert np.abs(np.array(runs[0][1]) - runs[2][1]).max() > 0


@pytest.mark.compiles
def test_indices_go_with_the_samples():
    def make(teacher, student):
        arguments = {"layers": {"pool": "pool"}, "samples": SAMPLES, "negatives": 4, "size": 4}
        return smskd.CRDDistiller(teacher, student, **arguments)

    same = smskd.Cache(views=2, augment=lambda x, seed: x)
    keras.utils.set_random_seed(0)
    assert_same_run(trained(make=make, shuffle=False, cache=same), trained(make=make, shuffle=False))


def wears_out():
    """Gives the same twice, for the pass of the teacher and for the first epoch of each view."""
    calls = []

    def augment(x, seed):
        calls.append(seed)
        return x + max(len(calls) - 4, 0)

    return augment


@pytest.mark.compiles
def test_what_cannot_be_made_again_is_refused():
    cache = smskd.Cache(views=2, augment=layer())
    with pytest.raises(ValueError, match="`views` of a cache needs arrays, to make them again. Received: x of type"):
        trained(Batches(), None, cache=cache)
    with pytest.raises(ValueError, match="`validation_split` would cut off views. Give `validation_data`"):
        trained(validation_split=0.5, cache=cache)
    with pytest.raises(ValueError, match="`steps_per_epoch` would cut off views"):
        trained(steps_per_epoch=2, cache=cache)
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="`augment` must give the same for the same `x` and `seed`"):
        trained(cache=smskd.Cache(views=2, augment=lambda x, seed: x + generator.random()))
    with pytest.raises(ValueError, match="`augment` must give the same for the same `x` and `seed`"):
        trained(epochs=4, cache=smskd.Cache(views=2, augment=wears_out()))


def test_samples_never_meet_the_labels_of_others():
    with pytest.raises(ValueError, match="`augment` must give one sample for each that it takes"):
        trained(cache=smskd.Cache(views=2, augment=lambda x, seed: np.concatenate([x, x[:, :, ::-1]])))
    for size in (SAMPLES - 2, SAMPLES + 2):
        with pytest.raises(ValueError, match="`x`, `y` must have as many samples"):
            trained(y=np.resize(Y, size), cache=smskd.Cache(views=2, augment=layer()))


def test_labels_and_weights_are_shuffled_with_the_samples(monkeypatch):
    batches = []
    of_batch = ViewedDataset.__getitem__

    def keep(dataset, index):
        batches.append(of_batch(dataset, index))
        return batches[-1]

    monkeypatch.setattr(ViewedDataset, "__getitem__", keep)
    number = np.arange(SAMPLES, dtype="float32")
    x = X + number[:, None, None, None]
    trained(x, Y, sample_weight=number, cache=smskd.Cache(views=2, augment=lambda x, seed: x))
    orders = []
    for inputs, y, weight in batches:
        rows = weight.astype(int)
        np.testing.assert_array_equal(inputs["inputs"], x[rows])
        np.testing.assert_array_equal(y, Y[rows])
        orders.extend(rows.tolist())
    assert orders[:SAMPLES] != sorted(orders[:SAMPLES])


def test_views_and_augment_belong_together():
    with pytest.raises(TypeError, match="`augment` must be a Keras layer or a function `\\(x, seed\\) -> x`"):
        smskd.Cache(views=2)
    with pytest.raises((TypeError, ValueError), match="`views`"):
        smskd.Cache(augment=layer())
    with pytest.raises(ValueError, match="`views`"):
        smskd.Cache(views=0, augment=layer())


def test_weights_are_not_changed_by_views():
    augment = layer()
    teacher, student = convolutional(6), convolutional(3)
    before = weights_of(teacher)
    distiller = smskd.KDDistiller(teacher, student)
    distiller.compile("sgd", label_loss())
    distiller.fit(X, Y, batch_size=BATCH_SIZE, cache=smskd.Cache(views=2, augment=augment), verbose=0)
    for a, b in zip(before, weights_of(teacher), strict=True):
        np.testing.assert_array_equal(a, b)
