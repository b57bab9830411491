"""AT: attention transfer."""

from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.checks import check_count
from keras_smskd.features import Features
from keras_smskd.ops import attention, match_sizes, safe_sqrt

Tensor = Any


def at_loss(teacher: Tensor, student: Tensor, power: int = 2, squared: bool = True) -> Tensor:
    """Difference of the attention maps of two feature maps, `(batch,)`; see `ATDistiller`."""
    teacher, student = match_sizes(teacher, student)
    difference = ops.square(attention(student, power) - attention(teacher, power))
    return ops.mean(difference, axis=-1) if squared else safe_sqrt(ops.sum(difference, axis=-1))


@keras.saving.register_keras_serializable("keras_smskd")
class ATDistiller(Distiller):
    """Attention Transfer (AT): the student looks where the teacher looks.

    Formula: with `q` the mean over channels of `features^power`, flattened and scaled to length 1, per sample
    `mean((q_student - q_teacher)^2)` over the positions, summed over the layers. The paper takes the length of the
    difference instead of its mean square (`squared=False`); the published benchmark numbers come from the mean square.

    Feature maps `(batch, height, width, channels)` of any sizes and widths: the larger one is average-pooled.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, layers that output feature maps.
        power: Exponent, a whole number of at least 1. An odd one keeps the sign of the features, as the reference
            implementation does.
        squared: Whether to take the mean square of the difference, or its length.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a layer outputs no feature map, or `power` is no whole number above 0; and as `Distiller` does.

    Example:

    >>> def model(width):
    ...     return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(width, 3, name="maps"),
    ...                              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> distiller = ATDistiller(model(8), model(2), layers={"maps": "maps"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)

    Source: Zagoruyko and Komodakis, "Paying More Attention to Attention", arXiv:1612.03928.
    """

    kind = "feature"
    reads = "maps"
    default_distillation_weight = 1000.0

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        power: int = 2,
        squared: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.power = check_count("power", power)
        self.squared = squared

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        return sum(at_loss(*pair, self.power, self.squared) for pair in self.pairs(teacher, student))
