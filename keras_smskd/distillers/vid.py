"""VID: variational information distillation."""

import math
from typing import Any

import keras
from keras import layers, ops

from keras_smskd.base.distiller import Model
from keras_smskd.base.projected import ProjectedDistiller, Projector
from keras_smskd.checks import check_positive
from keras_smskd.features import Features, precision
from keras_smskd.ops import channels_of, flatten, per_channel
from keras_smskd.projectors import Shape

Tensor = Any


def vid_loss(teacher: Tensor, student: Tensor, log_scale: Tensor, smallest_variance: float = 1e-5) -> Tensor:
    """Negative log-likelihood of the teacher's feature under the student's guess, `(batch,)`; see `VIDDistiller`."""
    variance = per_channel(ops.softplus(log_scale) + smallest_variance, teacher)
    return ops.mean(flatten(0.5 * (ops.square(student - teacher) / variance + ops.log(variance))), axis=-1)


@keras.saving.register_keras_serializable("keras_smskd")
def regressor(teacher_shape: Shape, student_shape: Shape, hidden_width: int | None = None) -> keras.Sequential:
    """Builds the published regressor: three 1x1 convolutions without bias, ReLU between, as wide as the teacher.

    Example:

    >>> regressor((8, 8, 64), (8, 8, 32)).output_shape
    (None, 8, 8, 64)
    """
    width = channels_of(teacher_shape)
    hidden = [layers.Conv2D(hidden_width or width, 1, use_bias=False, activation="relu") for _ in range(2)]
    return keras.Sequential(
        [keras.Input(student_shape), *hidden, layers.Conv2D(width, 1, use_bias=False)], name="regressor"
    )


@keras.saving.register_keras_serializable("keras_smskd")
class VIDDistiller(ProjectedDistiller):
    """Variational Information Distillation (VID): the student's features tell as much as they can about the teacher's.

    Formula: per sample `mean(0.5 * ((regressor(student) - teacher)^2 / v + log(v)))` over the entries of a feature map,
    with a variance `v = log(1 + exp(log_scale)) + smallest_variance` for each channel, summed over the layers. That is
    the negative log-likelihood of the teacher's features, without its constant `0.5 * log(2 * pi)`; it may be negative.
    The paper sums over the entries; the published benchmark numbers, and this class, take the mean. Regressors and
    log scales are trained with the student and are no part of it (one reference leaves the log scales untrained).

    Feature maps `(batch, height, width, channels)` of any sizes and widths: the larger one is average-pooled first.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, layers that output feature maps.
        projector: Makes the regressor from the shapes of a pair.
        initial_variance: Variance of every channel at the start, above `smallest_variance`.
        smallest_variance: What is added to every variance, above 0.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a layer outputs no feature map or a variance is out of range; and as `Distiller` does.

    Example:

    >>> def model(width):
    ...     return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(width, 3, name="maps"),
    ...                              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    >>> distiller = VIDDistiller(model(8), model(2), layers={"maps": "maps"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)

    Source: Ahn et al., "Variational Information Distillation for Knowledge Transfer", arXiv:1904.05835.
    """

    reads = "maps"

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        projector: Projector | None = regressor,
        initial_variance: float = 5.0,
        smallest_variance: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, projector=projector, **kwargs)
        self.smallest_variance = check_positive("smallest_variance", smallest_variance)
        self.initial_variance = check_positive("initial_variance", initial_variance)
        if not initial_variance > smallest_variance:
            raise ValueError(
                "`initial_variance` must be above `smallest_variance`. Received: "
                f"initial_variance={initial_variance!r}, smallest_variance={smallest_variance!r}"
            )
        self.log_scales = [self._add_log_scale(channels_of(shape)) for shape, _ in self.projected_shapes]

    def _add_log_scale(self, width: int) -> Any:
        """Adds one scale per channel, whose variance is the initial one."""
        variance = self.initial_variance - self.smallest_variance
        inverse_softplus = variance + math.log(-math.expm1(-variance))
        initializer = keras.initializers.Constant(inverse_softplus)
        return self.add_weight(
            name="log_scale", shape=(width,), initializer=initializer, dtype=precision(), autocast=False
        )

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        pairs = zip(self.projected(teacher, student), self.log_scales, strict=True)
        return sum(vid_loss(*pair, log_scale, self.smallest_variance) for pair, log_scale in pairs)
