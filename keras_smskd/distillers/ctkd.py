"""CTKD: distillation with a curriculum of temperatures."""

import math
from typing import Any

import keras
from keras import layers, ops

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.checks import check_positive
from keras_smskd.features import Features, precision
from keras_smskd.ops import softened_divergence

Tensor = Any


def ctkd_loss(teacher: Tensor, student: Tensor, temperature: Tensor) -> Tensor:
    """Divergence of outputs softened by one temperature or one per sample, `(batch,)`; see `CTKDDistiller`."""
    divergence = softened_divergence(teacher / temperature, student / temperature, 1.0)
    return ops.square(ops.reshape(temperature, (-1,))) * divergence


def reverse_gradient(x: Tensor, strength: Tensor) -> Tensor:
    """`x` itself, with a gradient of `-strength` times its own: what follows is climbed, not descended."""
    fixed = ops.stop_gradient(x)
    return fixed + strength * (fixed - x)


@keras.saving.register_keras_serializable("keras_smskd")
class CTKDDistiller(Distiller):
    """Curriculum Temperature for Knowledge Distillation (CTKD): the temperature learns to make the task harder.

    Formula: `temperature^2 * KL(softmax(teacher / temperature) || softmax(student / temperature))` of the logits
    `(batch, classes)`, per sample, with `temperature = lowest_temperature + temperature_range * sigmoid(parameter)`.
    The student descends this loss and the parameter, which starts at 1, climbs it: its gradient is reversed, and
    multiplied by a strength that grows along a cosine from 0 to 1 over the first epochs,
    `(1 - cos(pi * min((epoch + 1) / curriculum_epochs, 1))) / 2`, with the first epoch 0.

    Instance-wise, the parameter of a sample is the output of a small network (one hidden layer) of the logits of
    teacher and student; it learns from them and passes no gradient on to the student.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        lowest_temperature: The temperature is always above it; above 0.
        temperature_range: How far above it the temperature can come, above 0.
        curriculum_epochs: Epochs until the gradient of the temperature is reversed in full, above 0.
        instance_wise: Whether every sample has a temperature of its own.
        **kwargs: Further arguments of `Distiller`. `label_weight` and `distillation_weight` are 0.1 and 0.9 by
            default, as in the published experiments.

    Raises:
        ValueError: If one of the numbers is not above 0; and as `Distiller` does.

    Example:

    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> distiller = CTKDDistiller(teacher, student, temperature_range=20.0)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)

    Source: Li et al., "Curriculum Temperature for Knowledge Distillation", arXiv:2211.16231.
    """

    kind = "response"
    reads = "logits"
    default_label_weight = 0.1
    default_distillation_weight = 0.9

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        lowest_temperature: float = 1.0,
        temperature_range: float = 20.0,
        curriculum_epochs: float = 10,
        instance_wise: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.lowest_temperature = check_positive("lowest_temperature", lowest_temperature)
        self.temperature_range = check_positive("temperature_range", temperature_range)
        self.curriculum_epochs = check_positive("curriculum_epochs", curriculum_epochs)
        self.instance_wise = instance_wise
        if instance_wise:
            self.predictor = _predictor(self.classes)
        else:
            self.global_parameter = self.add_weight(
                name="temperature", shape=(1,), initializer="ones", dtype=precision(), autocast=False
            )

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        logits = teacher["logits"], student["logits"]
        return ctkd_loss(*logits, self.temperature(*logits))

    def temperature(self, teacher: Tensor, student: Tensor) -> Tensor:
        """The temperature for logits of teacher and student: `(1,)`, or `(batch, 1)` if instance-wise."""
        parameter = self._parameter(ops.stop_gradient(teacher), ops.stop_gradient(student))
        parameter = reverse_gradient(parameter, self._strength())
        return self.lowest_temperature + self.temperature_range * ops.sigmoid(parameter)

    def _parameter(self, teacher: Tensor, student: Tensor) -> Tensor:
        if not self.instance_wise:
            return ops.convert_to_tensor(self.global_parameter)
        return ops.cast(self.predictor(ops.concatenate([teacher, student], axis=-1)), teacher.dtype)

    def _strength(self) -> Tensor:
        """How strongly the gradient is reversed in this epoch."""
        progress = ops.minimum((self.epoch + 1.0) / self.curriculum_epochs, 1.0)
        return ops.cast((1.0 - ops.cos(math.pi * progress)) / 2.0, precision())


def _predictor(classes: int) -> keras.Sequential:
    """Predicts the parameter of a sample from two vectors of logits; at first near that of the global temperature."""
    return keras.Sequential(
        [
            keras.Input((2 * classes,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones"),
        ],
        name="temperature",
    )
