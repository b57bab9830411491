"""Training whose every epoch is a function of a seed, so that it is the same wherever a process begins."""

import math
from typing import Any

import keras
import numpy as np

from keras_smskd.arrays import OrderedArrays, are_arrays, arrays_of
from keras_smskd.base.epoch_counter import in_front

Arguments = dict[str, Any]


class Seeded(keras.callbacks.Callback):
    """Seeds Python, NumPy and the backend anew in every epoch.

    Args:
        seed: What all epochs' seeds are made of.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        keras.utils.set_random_seed(int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0]))


def repeatable(arguments: Arguments, seed: int) -> Arguments:
    """The arguments of `fit` for training in which order and random numbers of an epoch come from the seed alone.

    Arrays are shuffled so. Any other source is taken as it comes: it repeats itself if it draws when an epoch begins.
    """
    first: list[keras.callbacks.Callback] = [Seeded(seed)]
    if are_arrays(arguments["x"]):
        arguments = _without_split(arguments)
        dataset = OrderedArrays(arrays_of(arguments), arguments.get("batch_size"), arguments.get("shuffle", True))
        first.append(keras.callbacks.LambdaCallback(on_epoch_begin=dataset.begin))
        without = {"y": None, "sample_weight": None, "batch_size": None, "shuffle": False}
        arguments = {**arguments, **without, "x": dataset, "validation_batch_size": _validation_batch_size(arguments)}
    return {**arguments, "callbacks": in_front(arguments["callbacks"], *first)}


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
    if not 0 < at < samples:
        raise ValueError(f"`validation_split` must leave samples on both sides. Received: validation_split={split}")
    head = keras.tree.map_structure(lambda array: array[:at], arrays)
    tail = keras.tree.map_structure(lambda array: array[at:], arrays)
    data = tail["x"], tail.get("y"), tail.get("sample_weight")
    return {**arguments, **head, "validation_split": 0.0, "validation_data": data}
