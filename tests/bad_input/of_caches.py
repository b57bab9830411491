"""Caches that cannot be kept, and data that cannot be cached."""

import pathlib

import keras
import numpy as np

import keras_smskd as smskd
from tests.bad_input.world import IMAGES, KD, LABELS, STUDENT, Batches, X, Y, fit, kd, of_maps

FLIP = keras.layers.RandomFlip("horizontal")


def noise(x, seed):
    return x + keras.random.normal(x.shape, seed=seed)


def unseeded(x, seed):
    return x + np.random.normal(size=x.shape)


def viewed(augment=noise, **arguments):
    return lambda: fit(kd(), cache=smskd.Cache(views=2, augment=augment), **arguments)


def cached(x=X, y=Y, cache=True, make=kd, **arguments):
    return lambda: fit(make(), x, y, cache=cache, **arguments)


def generator():
    while True:
        yield X, Y


class Augmented(Batches):
    """Gives other samples in every pass."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + np.random.normal(size=x.shape).astype("float32"), y


def of_huge_teacher():
    layers = [keras.Input((6,)), keras.layers.Dense(4), keras.layers.Rescaling(1e9)]
    return KD(keras.Sequential(layers), STUDENT)


def in_a_file():
    pathlib.Path("file").touch()
    fit(kd(), cache="file")


MISUSES = {
    "number": (cached(cache=3), TypeError, "`cache` must be True, a directory or a `Cache`. Received: cache=3"),
    "list": (cached(cache=["directory"]), TypeError, r"`cache` must be True.*cache=\['directory'\]"),
    "class": (cached(cache=smskd.Cache), TypeError, "`cache` must be True.*cache=<class"),
    "empty path": (cached(cache=""), ValueError, "`directory` must.*directory=''"),
    "number as directory": (lambda: smskd.Cache(3), TypeError, "`directory` must.*directory=3"),
    "file as directory": (in_a_file, OSError, "`directory` cannot be used.*the file 'file'"),
    "precision": (lambda: smskd.Cache(dtype="int8"), ValueError, r"`dtype` must be one of \['float16', 'float32'\]"),
    "precision as type": (lambda: smskd.Cache(dtype=np.float32), ValueError, "`dtype` must be one of"),
    "numbers beyond float16": (
        cached(cache=smskd.Cache(dtype="float16"), make=of_huge_teacher),
        ValueError,
        "`cache` of dtype='float16' holds numbers up to 65504",
    ),
    "views without augment": (lambda: smskd.Cache(views=2), TypeError, "`augment` must be .*augment=None"),
    "augment without views": (lambda: smskd.Cache(augment=FLIP), ValueError, "`views` must be .*views=None"),
    "augment by name": (lambda: smskd.Cache(views=2, augment="flip"), TypeError, "`augment` must be .*augment='flip'"),
    "no views": (lambda: smskd.Cache(views=0, augment=FLIP), ValueError, "`views` must be a whole number.*views=0"),
    "views True": (lambda: smskd.Cache(views=True, augment=FLIP), ValueError, "`views` must be .*views=True"),
    "negative seed": (lambda: smskd.Cache(views=2, augment=FLIP, seed=-1), ValueError, "`seed` must be .*seed=-1"),
    "seed as text": (lambda: smskd.Cache(views=2, augment=FLIP, seed="a"), ValueError, "`seed` must be .*seed='a'"),
    "views of batches": (viewed(x=Batches(), y=None), ValueError, "`views` of a cache needs arrays"),
    "views that are split": (viewed(validation_split=0.5), ValueError, "`validation_split` would cut off views"),
    "views that are cut": (viewed(steps_per_epoch=1), ValueError, "`steps_per_epoch` would cut off views"),
    "views with fewer samples": (viewed(lambda x, seed: x[:2]), ValueError, "`augment` must give one sample for each"),
    "views that differ": (viewed(unseeded), ValueError, "`augment` must give the same for the same `x` and `seed`"),
    "generator": (cached(generator(), None), ValueError, "`cache` reads the data once.*a generator"),
    "augmented data": (
        cached(Augmented(), None, epochs=3),
        ValueError,
        "`cache` knows the samples of the source as they were when it was filled",
    ),
    "text": (cached(np.full((8, 6), "a")), ValueError, "`x` must hold numbers"),
    "views of the method": (
        cached(IMAGES, LABELS, make=lambda: of_maps(smskd.SSKDDistiller, {"pool": "pool"})),
        ValueError,
        "`cache` cannot hold what SSKD reads: views",
    ),
    "other numbers of samples": (cached(X, Y[:-1]), ValueError, "`x`, `y` must have as many samples"),
}
