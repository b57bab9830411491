"""Fixed augmented views of samples, made again bit for bit, and arrays that are trained on by them."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_smskd import checks
from keras_smskd.arrays import arrays_of, in_numpy
from keras_smskd.cache.digests import digests_of
from keras_smskd.cache.outputs import Outputs
from keras_smskd.cache.sources import Attach, Batches, Detach, Known, known_at, located
from keras_smskd.ordered import OrderedArrays

CHUNK = 128
"""How many samples are augmented at a time. Their views depend on it, so it never changes."""


class Views:
    """A fixed number of augmented views of every sample.

    Args:
        count: The number of views, at least 1.
        augment: A Keras layer, whose seeds are set, or a function `(x, seed) -> x`.
        seed: Tells other views apart.
    """

    def __init__(self, count: Any, augment: Any, seed: Any) -> None:
        self.count = checks.check_count("views", count)
        if not callable(augment):
            raise TypeError(
                "`augment` must be a Keras layer or a function `(x, seed) -> x` for `views`. "
                f"Received: views={count!r}, augment={augment!r}"
            )
        self._augment = _seeded(augment) if isinstance(augment, keras.Layer) else augment
        self.seed = checks.check_count("seed", seed, 0)

    def chunks(self, x: Any, view: int) -> Iterator[Any]:
        """A view of the samples of arrays, some at a time."""
        for start in range(0, len(keras.tree.flatten(x)[0]), CHUNK):
            yield self._chunk(x, start, view)

    def whole(self, x: Any, view: int) -> Any:
        """A view of the samples of arrays."""
        return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *self.chunks(x, view))

    def _chunk(self, x: Any, start: int, view: int) -> Any:
        chunk = keras.tree.map_structure(lambda array: array[start : start + CHUNK], x)
        seed = int(np.random.SeedSequence((self.seed, view, start)).generate_state(1)[0]) % 2**31
        view = in_numpy(self._augment(chunk, seed))
        sizes = [[len(array) for array in keras.tree.flatten(arrays)] for arrays in (chunk, view)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                "`augment` must give one sample for each that it takes, in order, since labels stay as they are. "
                f"Received: {sizes[1]} samples for {sizes[0]}."
            )
        return view


def _seeded(layer: keras.Layer) -> Callable[[Any, int], Any]:
    """A layer as a function of a seed, from which all of its seed generators begin."""

    def augment(x: Any, seed: int) -> Any:
        if not layer.built:
            layer(x, training=True)  # May make seed generators.
        generator = np.random.default_rng(seed)
        for variable in layer.variables:
            if variable.name == "seed_generator_state":
                variable.assign(generator.integers(2**31, size=variable.shape).astype(variable.dtype))
        return layer(x, training=True)

    return augment


class ViewedArrays(Batches):
    """Arrays that are trained on by views, another one in every epoch.

    Args:
        arguments: Those of `fit`.
        views: The views.
        detach: Gives the inputs of the models.
    """

    def __init__(self, arguments: dict[str, Any], views: Views, detach: Detach) -> None:
        for name in ("validation_split", "steps_per_epoch"):
            if arguments.get(name):
                raise ValueError(
                    f"`{name}` would cut off views. Give `validation_data` and whole epochs, or train without `views`. "
                    f"Received: {name}={arguments[name]}"
                )
        super().__init__([], None, detach)
        self.arguments = arguments
        self.views = views
        self.inputs = in_numpy(detach(arguments["x"]))
        self.arrays = arrays_of(arguments)
        self.samples = len(keras.tree.flatten(self.arrays)[0])
        self.digests: list[list[bytes]] = []

    def __len__(self) -> int:
        return self.views.count * math.ceil(self.samples / CHUNK)

    def batches(self) -> Iterator[Known]:
        """All views of the inputs, some samples at a time, and the digests."""
        self.digests = [[] for _ in range(self.views.count)]
        for view, digests_of_view in enumerate(self.digests):
            for inputs in self.views.chunks(self.inputs, view):
                digests = digests_of(inputs)
                digests_of_view.extend(digests)
                yield inputs, digests

    def view(self, view: int, part: int) -> Any:
        """A view of the inputs, the same as before, for which one part of it stands."""
        inputs = self.views.whole(self.inputs, view)
        start = part % math.ceil(self.samples / CHUNK) * CHUNK
        again = digests_of(keras.tree.map_structure(lambda array: array[start : start + CHUNK], inputs))
        if again != self.digests[view][start : start + CHUNK]:
            raise ValueError(
                "`augment` must give the same for the same `x` and `seed`. Received: one that draws from elsewhere. "
                "Draw with `keras.random` and `seed=seed`, or give a Keras layer."
            )
        return inputs

    def joined(self, outputs: Sequence[Outputs], attach: Attach) -> dict[str, Any]:
        """The arguments of `fit` for batches of views with outputs in them."""
        dataset = ViewedDataset(self, outputs, attach)
        self.callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=dataset.begin)]
        return {"x": dataset, "y": None, "sample_weight": None, "batch_size": None, "shuffle": False}


class ViewedDataset(OrderedArrays):
    """The batches of an epoch, from one view of the arrays.

    Args:
        source: The arrays.
        outputs: What is known of all views.
        attach: Puts the inputs of the view and what is known of them into a batch.
    """

    def __init__(self, source: ViewedArrays, outputs: Sequence[Outputs], attach: Attach) -> None:
        arguments = source.arguments
        super().__init__(source.arrays, arguments.get("batch_size"), arguments.get("shuffle", True))
        self.source, self.outputs, self.attach = source, outputs, attach
        self.view = -1
        self.begin(arguments.get("initial_epoch", 0))

    def begin(self, epoch: int, logs: Any = None) -> None:
        """Takes the view of an epoch, and the samples in another order."""
        super().begin(epoch)
        if self.view != epoch % self.source.views.count:
            self.view = epoch % self.source.views.count
            inputs = self.source.view(self.view, part=epoch // self.source.views.count)
            places = located(self.outputs, self.source.digests[self.view])
            self.arrays = {**self.source.arrays, "inputs": inputs, "places": places}

    def packed(self, arrays: dict[str, Any]) -> Any:
        """A batch of the view, with what is known of it."""
        known, inputs = known_at(self.outputs, arrays.pop("places")), arrays.pop("inputs")
        return keras.utils.pack_x_y_sample_weight(self.attach(arrays.pop("x"), known, inputs), **arrays)
