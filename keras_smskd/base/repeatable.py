"""Training whose every epoch is a function of a seed, so that it is the same wherever a process begins."""

import math
from typing import Any

import keras
import numpy as np

from keras_smskd.arrays import are_arrays, arrays_of
from keras_smskd.base.epoch_counter import in_front
from keras_smskd.ordered import Ordered, OrderedArrays, OrderedBatches

Arguments = dict[str, Any]


def seed_all(*numbers: int) -> None:
    """Seeds Python, NumPy and the backend by some numbers."""
    keras.utils.set_random_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


class Seeded(keras.callbacks.Callback):
    """Seeds Python, NumPy and the backend anew in every epoch.

    Args:
        seed: What all epochs' seeds are made of.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        seed_all(self.seed, epoch)


def repeatable(arguments: Arguments, seed: int) -> Arguments:
    """The arguments of `fit` for training in which order and random numbers of an epoch come from the seed alone.

    Arrays and a `PyDataset` are shuffled so. Any other source is taken as it comes.
    """
    first: list[keras.callbacks.Callback] = [Seeded(seed)]
    if not isinstance(arguments["x"], Ordered) and can_be_ordered(arguments["x"]):
        arguments = _ordered(arguments)
        first.append(keras.callbacks.LambdaCallback(on_epoch_begin=arguments["x"].begin))
    return {**arguments, "callbacks": in_front(arguments["callbacks"], *first)}


def can_be_ordered(x: Any) -> bool:
    """Whether training data are arrays, or a `PyDataset` that knows how many batches it has."""
    return are_arrays(x) or (isinstance(x, keras.utils.PyDataset) and x.num_batches is not None)


def _ordered(arguments: Arguments) -> Arguments:
    """The arguments with training data whose order is drawn from the seed."""
    shuffle = arguments.get("shuffle", True)
    if not are_arrays(arguments["x"]):
        return {**arguments, "x": OrderedBatches(arguments["x"], shuffle), "shuffle": False}
    arguments = _without_split(arguments)
    dataset = OrderedArrays(arrays_of(arguments), arguments.get("batch_size"), shuffle)
    without = {"y": None, "sample_weight": None, "batch_size": None, "shuffle": False}
    return {**arguments, **without, "x": dataset, "validation_batch_size": _validation_batch_size(arguments)}


def _validation_batch_size(arguments: Arguments) -> int | None:
    """Keras's default is the batch size of the training data, which a dataset keeps to itself."""
    size = arguments.get("validation_batch_size") or arguments.get("batch_size")
    return None if isinstance(arguments.get("validation_data"), keras.utils.PyDataset) else size


def _without_split(arguments: Arguments) -> Arguments:
    """The arguments with arrays of their own for the validation data that Keras would split off."""
    if arguments.get("steps_per_epoch"):
        raise ValueError(
            "`steps_per_epoch` cuts arrays where no epoch begins: it cannot go with `seed` or `backup_dir`. "
            f"Received: steps_per_epoch={arguments['steps_per_epoch']}"
        )
    split = arguments.get("validation_split")
    if not split or arguments.get("validation_data") is not None:
        return arguments
    arrays = arrays_of(arguments)
    samples = len(keras.tree.flatten(arrays)[0])
    at = math.floor(samples * (1.0 - split))
    head = keras.tree.map_structure(lambda array: array[:at], arrays)
    tail = keras.tree.map_structure(lambda array: array[at:], arrays)
    data = tail["x"], tail.get("y"), tail.get("sample_weight")
    return {**arguments, **head, "validation_split": 0.0, "validation_data": data}
