"""Data sources with outputs joined to their samples."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_smskd.arrays import batches_of, can_be_read_again, in_numpy
from keras_smskd.cache.digests import digests_of
from keras_smskd.cache.outputs import Outputs
from keras_smskd.cache.segments import Rows

Attach = Callable[..., Any]
"""Of `x`, what is known of it and, in place of its own, other inputs."""

Detach = Callable[[Any], Any]
Known = tuple[Any, list[bytes]]


class Arrays:
    """Arrays, whose outputs become further arrays: Keras shuffles and splits them together.

    Args:
        x: The inputs.
        batch_size: How many samples are computed at a time.
        detach: Gives the inputs of the models.
    """

    error: Exception | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()

    def __init__(self, x: Any, batch_size: int, detach: Detach) -> None:
        self.x = x
        self.inputs = in_numpy(detach(x))
        self.digests = digests_of(self.inputs)
        self.starts = range(0, len(self.digests), batch_size)
        self.enough = math.inf

    def __len__(self) -> int:
        return len(self.starts)

    def batches(self) -> Iterator[Known]:
        """The inputs, some at a time, and their digests."""
        for start in self.starts:
            rows = slice(start, start + self.starts.step)
            yield keras.tree.map_structure(lambda array: array[rows], self.inputs), self.digests[rows]  # noqa: B023

    def joined(self, outputs: Sequence[Outputs], attach: Attach) -> dict[str, Any]:
        """The arguments of `fit` for the arrays with outputs among them."""
        self.inputs = None
        return {"x": attach(self.x, known_at(outputs, located(outputs, self.digests)))}


class Batches:
    """A source that gives a batch at a time, again and again: `tf.data`, a `DataLoader`, a generator.

    Args:
        source: The source.
        steps: Batches of an epoch; None for all that there are.
        detach: Gives the inputs of the models.
        class_weight: Weight of each class, which Keras does not take with a generator.
    """

    callbacks: Sequence[keras.callbacks.Callback] = ()
    """What the training has to tell."""

    def __init__(
        self, source: Any, steps: int | None, detach: Detach, class_weight: dict[int, float] | None = None
    ) -> None:
        self.once = not can_be_read_again(source)
        if self.once and steps is None:
            raise ValueError(
                "`cache` reads the data once before the training. Received: a generator, which can be read only once. "
                "Give arrays, a `PyDataset` or a `tf.data.Dataset`; or, with a generator that begins anew after every "
                "epoch, `steps_per_epoch`."
            )
        self.source = source
        self.steps = steps
        self.enough: float = math.inf if steps is None else steps
        self.detach = detach
        self.class_weight = class_weight
        self.error: Exception | None = None
        """What went wrong while the training read the source. TensorFlow wraps it in an error of its own."""

    def __len__(self) -> int:
        return self.steps or 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.source)

    def batches(self) -> Iterator[Known]:
        """The inputs of every batch, of a generator those of an epoch, and their digests. The batches are counted."""
        count = 0
        for batch in itertools.islice(self, self.steps if self.once else None):
            count += 1
            inputs = in_numpy(self.detach(keras.utils.unpack_x_y_sample_weight(batch)[0]))
            yield inputs, digests_of(inputs)
        self.steps = self.steps or count

    def joined(self, outputs: Sequence[Outputs], attach: Attach) -> dict[str, Any]:
        """The arguments of `fit` for the source with outputs in every batch."""

        def endless() -> Iterator[Any]:
            while True:
                yield from (self.with_outputs(batch, outputs, attach) for batch in self)

        return {"x": endless(), "steps_per_epoch": self.steps, "class_weight": None}

    def with_outputs(self, batch: Any, outputs: Sequence[Outputs], attach: Attach) -> Any:
        """A batch with the outputs for its samples."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        try:
            rows = known_at(outputs, located(outputs, digests_of(in_numpy(self.detach(x)))))
            if self.class_weight is not None:
                sample_weight = _weights_of_classes(y, sample_weight, self.class_weight)
        except ValueError as error:
            self.error = error
            raise
        return keras.utils.pack_x_y_sample_weight(attach(x, rows), y, sample_weight)


class Dataset(Batches):
    """A `keras.utils.PyDataset`, whose batches have numbers.

    Args:
        source: The dataset.
        detach: Gives the inputs of the models.
    """

    def __init__(self, source: keras.utils.PyDataset, detach: Detach) -> None:
        self.dataset = source
        super().__init__([], len(source), detach)

    def __iter__(self) -> Iterator[Any]:
        return batches_of(self.dataset)

    def joined(self, outputs: Sequence[Outputs], attach: Attach) -> dict[str, Any]:
        return {"x": JoinedDataset(self.dataset, lambda batch: self.with_outputs(batch, outputs, attach))}


class JoinedDataset(keras.utils.PyDataset):
    """A dataset with outputs in every batch.

    Args:
        dataset: The dataset.
        join: Puts the outputs into a batch.
    """

    def __init__(self, dataset: keras.utils.PyDataset, join: Callable[[Any], Any]) -> None:
        super().__init__(workers=dataset.workers, max_queue_size=dataset.max_queue_size)
        self.dataset = dataset
        self.join = join

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.join(self.dataset[index])

    def on_epoch_begin(self) -> None:
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.dataset.on_epoch_end()


def _weights_of_classes(y: Any, sample_weight: Any, class_weight: dict[int, float]) -> np.ndarray:
    """The weight of each sample of a batch by its class, 1 for a class without one."""
    if sample_weight is not None:
        raise ValueError("`class_weight` and the sample weights of a source cannot both be given.")
    y = in_numpy(y)
    classes = y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(-1)
    return np.array([class_weight.get(int(label), 1.0) for label in classes], "float32")


def located(outputs: Sequence[Outputs], digests: Sequence[bytes]) -> list[np.ndarray]:
    """Where each of some outputs has what is known of samples."""
    return [each.located(digests) for each in outputs]


def known_at(outputs: Sequence[Outputs], places: Sequence[np.ndarray]) -> Rows:
    """What some outputs know, each of the samples at its places."""
    return {name: rows for each, at in zip(outputs, places, strict=True) for name, rows in each.table.take(at).items()}
