"""Cache: what teachers know of the training data, computed once."""

import os
import time
from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.arrays import are_arrays
from keras_smskd.cache.digests import fingerprint
from keras_smskd.cache.outputs import Outputs
from keras_smskd.cache.segments import FileSegment, MemorySegment, Rows
from keras_smskd.cache.sources import Arrays, Batches, Dataset, Detach
from keras_smskd.cache.table import Segment, Table
from keras_smskd.cache.views import ViewedArrays, Views
from keras_smskd.checks import check_choice, check_directory
from keras_smskd.version import __version__

DTYPES = ("float32", "float16")


class Cache:
    """Keeps what the teachers output for the training data, so that a training step calls no teacher.

    Given to `fit(cache=...)`; `cache=True` stands for one in memory, a path for one in that directory. Logits and the
    features of `layers` are computed in one pass before the first epoch, those of the reference in one pass at the
    start of each stage. A sample is known by its content, a teacher by its weights and by what it outputs for samples
    that never change: whatever the order of the data, a sample or a teacher that has changed never meets old knowledge.
    Nor does a preprocessing that changes what the teacher outputs for these samples or for the first batch of known
    ones. Samples that are new are added, so an interrupted pass goes on where it was, and processes may share a
    directory.

    Data that is augmented while it is read is refused: what a teacher knows of an image is wrong for its mirror image.
    A source must give the same samples in every pass, batches of one shape if it is a `tf.data.Dataset`. With `views`,
    every sample of arrays has that many augmented versions, which the epochs take in turns: each is drawn from a seed
    of its own and made again bit for bit, so that the teacher's outputs for it are known. Up to four
    times the data are in memory while a version is made.

    Args:
        directory: Where to keep it between runs; None for memory.
        dtype: `"float32"`, or `"float16"` for half the size and a relative error of at most 2^-11. (Keras brings
            arrays to float32 for the training: half the size on disk.)
        views: Number of augmented views of every sample, at least 1; None for the samples as they are.
        augment: What makes a view: a Keras layer, whose random seeds are set for it, or a function `(x, seed) -> x` of
            a batch and a whole number that gives the same for the same. It takes up to 128 samples.
        seed: Another one makes other views.

    Raises:
        ValueError: If `dtype` is another one, or `views` is below 1; in `fit`, if `views` is used for anything but
            arrays, with `validation_split`, or with an `augment` that draws from elsewhere.
        TypeError: If `views` and `augment` are not given together.

    Example:

    >>> from keras_smskd import KDDistiller
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> distiller = KDDistiller(teacher, student)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> cache = Cache()
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), epochs=2, cache=cache, verbose=0)
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        dtype: str = "float32",
        views: int | None = None,
        augment: Any = None,
        seed: int = 0,
    ) -> None:
        self.directory = None if directory is None else check_directory("directory", directory)
        self.dtype = check_choice("dtype", dtype, DTYPES)
        self.views = None if views is None and augment is None else Views(views, augment, seed)
        self._segments: dict[str, list[Segment]] = {}
        self._announced: set[str] = set()

    def described(self) -> dict[str, Any]:
        """What it does to a run that trains from it."""
        views = (self.views.count, self.views.seed) if self.views else None
        return {"dtype": self.dtype, "views and seed": views}

    def source_of(self, arguments: dict[str, Any], detach: Detach) -> Arrays | Batches:
        """The source that the arguments of `fit` name."""
        x, batch_size = arguments["x"], arguments["batch_size"] or 32
        is_arrays = are_arrays(x)
        if self.views and is_arrays:
            return ViewedArrays(arguments, self.views, detach)
        if self.views:
            raise ValueError(f"`views` of a cache needs arrays, to make them again. Received: x of type {type(x)}")
        if is_arrays:
            return Arrays(x, batch_size, detach)
        if isinstance(x, keras.utils.PyDataset):
            return Dataset(x, detach)
        return Batches(x, arguments.get("steps_per_epoch"), detach, arguments.get("class_weight"))

    def key(self, models: Sequence[keras.Model], *facts: Any) -> str:
        """The name under which outputs of models of these weights are kept; further facts tell them apart."""
        return fingerprint(models, self.dtype, __version__, *facts)

    def outputs_of(self, model: keras.Model, key: str, probe: Rows) -> Outputs:
        """The outputs of a model, kept under a key: those by whose names the `probe` is; see `Table`."""
        if self.directory is None:
            table = Table(probe, self._segments.setdefault(key, []), MemorySegment)
        else:
            directory = self.directory / key
            if key not in self._segments:
                self._segments[key] = [*FileSegment.all_in(directory, self.dtype)]
            table = Table(probe, self._segments[key], lambda probe: FileSegment.new(directory, self.dtype, probe))
        return Outputs(model, table, self.dtype)

    def fill(self, outputs: Outputs, source: Arrays | Batches, of: str, verbose: Any, verify: bool = False) -> None:
        """Computes what is not known yet of a source, and says what that took and saves; `verify` as in `Outputs`."""
        start = time.perf_counter()
        bar = keras.utils.Progbar(len(source) or None, verbose=0 if verbose == 2 else bool(verbose), unit_name="batch")
        known, new = outputs.fill(source.batches(), source.enough, bar.update, verify)
        is_news = bool(new) or of not in self._announced
        self._announced.add(of)
        if not verbose or not is_news:
            return
        seconds, megabytes = time.perf_counter() - start, outputs.table.nbytes / 1e6
        if new:
            took = f"{new:,} samples computed in {seconds:.1f} s, a time that every epoch saves"
            before = f"; {known:,} were there before" if known else ""
            print(f"Outputs of the {of} for {took}{before}. {megabytes:,.1f} MB in all.")
        else:
            print(f"Outputs of the {of} for all {known:,} samples were there before. {megabytes:,.1f} MB in all.")


def as_cache(cache: Any) -> Cache | None:
    """The cache that an argument stands for."""
    if cache is None or cache is False:
        return None
    if cache is True:
        return Cache()
    if isinstance(cache, Cache):
        return cache
    if isinstance(cache, str | os.PathLike):
        return Cache(cache)
    raise TypeError(
        f"`cache` must be True, a directory or a `Cache`. Received: cache={cache!r} (of type {type(cache)})"
    )
