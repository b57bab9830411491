"""Learning rates of a protocol, over a stage or over a part of the whole run."""

import math

import keras
import numpy as np
from keras import ops

from benchmarks.study.protocol import Protocol

STEPS = (5 / 8, 3 / 4, 7 / 8)


@keras.saving.register_keras_serializable("keras_smskd_benchmarks")
class Decay(keras.optimizers.schedules.LearningRateSchedule):
    """The rate of each epoch, by a table.

    Args:
        rates: The rate in each epoch.
        steps: Number of steps of an epoch.
    """

    def __init__(self, rates: list[float], steps: int) -> None:
        super().__init__()
        self.rates = rates
        self.steps = steps

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        epoch = ops.minimum(ops.cast(step, "int32") // self.steps, len(self.rates) - 1)
        return ops.take(ops.convert_to_tensor(np.array(self.rates, "float32")), epoch)

    def get_config(self) -> dict[str, object]:
        """The arguments."""
        return {"rates": self.rates, "steps": self.steps}


def rates_of(protocol: Protocol, epochs: int) -> list[float]:
    """The learning rate of each of so many epochs."""
    passed = (np.arange(epochs) / epochs).tolist()
    if protocol.decay == "cosine":
        return [protocol.rate * (1 + math.cos(math.pi * part)) / 2 for part in passed]
    return [protocol.rate * 0.1 ** sum(part >= step for step in STEPS) for part in passed]


def optimizer(protocol: Protocol, rates: list[float], images: int) -> keras.optimizers.Optimizer:
    """The optimizer of the field, with the rates of a stage."""
    steps = math.ceil(images / protocol.batch_size)
    return keras.optimizers.SGD(Decay(rates, steps), momentum=protocol.momentum, weight_decay=protocol.weight_decay)
