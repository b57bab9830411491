"""DIST+: correlation of predictions and of feature maps."""

from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Model
from keras_smskd.base.projected import ProjectedDistiller
from keras_smskd.checks import check_positive, check_weight
from keras_smskd.distillers.dist import dist_loss
from keras_smskd.features import LOGITS, Features
from keras_smskd.layouts import as_sequences
from keras_smskd.ops import correlation

Tensor = Any


def distplus_loss(
    teacher: Tensor,
    student: Tensor,
    channel_weight: float = 1.0,
    spatial_weight: float = 1.0,
    decorrelate_channels: bool = False,
) -> Tensor:
    """Lack of correlation of two feature maps of one shape, `(batch,)`; see `DISTPlusDistiller`."""
    teacher, student = as_sequences(teacher), as_sequences(student)
    of_channels = ops.mean(correlation(teacher, student), axis=-1)
    of_samples = correlation(_energies(teacher), _energies(student), clamped=True)
    channel = of_channels if decorrelate_channels else 1.0 - of_channels
    return channel_weight * channel + spatial_weight * (1.0 - ops.mean(of_samples))


def _energies(features: Tensor) -> Tensor:
    """The sum of the channels at every position, `(length, batch)`."""
    return ops.transpose(ops.sum(features, axis=-1))


@keras.saving.register_keras_serializable("keras_smskd")
class DISTPlusDistiller(ProjectedDistiller):
    """DIST+: predictions are to correlate as in DIST, and feature maps over their channels and over the samples.

    Formula: the loss of `DISTDistiller` (the `clamped` form) on the logits, plus for every pair of feature maps
    `channel_weight * (1 - mean_p rho_ip) + spatial_weight * (1 - mean_p rho_p)`, with `rho_ip` the correlation of
    teacher and student over the channels at position p of sample i, and `rho_p` the correlation over the samples of
    what position p holds summed over the channels. Row i of the loss has `rho_ip`; the last term is one number for the
    batch. The only published code, torchdistill's, adds `mean_p rho_ip` itself in place of `1 - mean_p rho_ip` and so
    drives the channels apart; `decorrelate_channels=True` does the same.

    Feature maps `(batch, height, width, channels)`: the larger one is average-pooled, and a projector, 1x1, maps the
    student's channels to the teacher's where their numbers differ.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, layers that output feature maps.
        inter_weight: Weight of the predictions' correlation over the classes, at least 0.
        intra_weight: Weight of the predictions' correlation over the samples, at least 0.
        channel_weight: Weight of the maps' correlation over the channels, at least 0.
        spatial_weight: Weight of the maps' correlation over the samples, at least 0.
        temperature: Softens both outputs, above 0.
        decorrelate_channels: Whether the correlation over the channels is to fall instead of to rise.
        projector: Makes the projector from the shapes of a pair, `(teacher_shape, student_shape) -> keras.Layer`; None
            for none, where the shapes are equal.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If `temperature` or a weight is out of range, or a layer outputs no feature map; and as
            `ProjectedDistiller` does.

    Example:

    >>> def model(width):
    ...     return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(width, 3, name="maps"),
    ...                              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> distiller = DISTPlusDistiller(model(8), model(2), layers={"maps": "maps"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)

    Source: Huang et al., "DIST+: Knowledge Distillation From a Stronger Adaptive Teacher", TPAMI 2025.
    """

    kind = "feature"
    reads = "maps"
    smallest_batch = 2

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        inter_weight: float = 2.0,
        intra_weight: float = 2.0,
        channel_weight: float = 1.0,
        spatial_weight: float = 1.0,
        temperature: float = 1.0,
        decorrelate_channels: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.inter_weight = check_weight("inter_weight", inter_weight)
        self.intra_weight = check_weight("intra_weight", intra_weight)
        self.channel_weight = check_weight("channel_weight", channel_weight)
        self.spatial_weight = check_weight("spatial_weight", spatial_weight)
        self.temperature = check_positive("temperature", temperature)
        self.decorrelate_channels = decorrelate_channels

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        weights = self.inter_weight, self.intra_weight
        loss = dist_loss(teacher[LOGITS], student[LOGITS], *weights, self.temperature, clamped=True)
        weights = self.channel_weight, self.spatial_weight
        return loss + sum(
            distplus_loss(*pair, *weights, self.decorrelate_channels) for pair in self.projected(teacher, student)
        )
