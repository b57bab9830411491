"""ReviewKD: knowledge review."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.checks import check_count, check_list
from keras_smskd.features import Features
from keras_smskd.layouts import as_level
from keras_smskd.ops import average_pool, channel_axis, channels_of, mean_square, spatial_axes
from keras_smskd.projectors import Shape, normalized

Tensor = Any

# The paper's levels are fused with at most this many channels.
LARGEST_WIDTH = 512


def reviewkd_loss(teacher: Tensor, student: Tensor, pool_sizes: Sequence[int] = (4, 2, 1)) -> Tensor:
    """Hierarchical context loss of two maps (or vectors) of one shape, `(batch,)`; see `ReviewKDDistiller`."""
    difference = as_level(student) - as_level(teacher)
    loss, weight, total = mean_square(difference), 1.0, 1.0
    for size in pool_sizes:
        if size < _sizes(difference.shape)[0]:
            weight /= 2
            total += weight
            loss += weight * mean_square(average_pool(difference, (size, size)))
    return loss / total


def _sizes(shape: Sequence[Any]) -> tuple[int, int]:
    """Height and width in a shape of maps, batch included."""
    return shape[spatial_axes()[0]], shape[spatial_axes()[1]]


def resize_nearest(features: Tensor, sizes: Sequence[int]) -> Tensor:
    """Resizes maps to a height and a width: entry i is that at `floor(i * old_size / new_size)`."""
    for axis, size in zip(spatial_axes(), sizes, strict=True):
        if features.shape[axis] != size:
            source = np.arange(size) * features.shape[axis] // size
            features = ops.take(features, source, axis=axis)
    return features


def reviewer(teacher_shapes: Sequence[Shape], student_shapes: Sequence[Shape], width: int) -> keras.Model:
    """Builds the model that fuses the levels of a student, from the highest down, and gives them the teacher's shapes.

    The shapes are those of maps, low level first. The inputs and outputs are lists of maps in the same order.
    """
    inputs = [keras.Input(shape) for shape in student_shapes]
    outputs: list[Tensor] = []
    residual = None
    for level in reversed(range(len(inputs))):
        fused = _fuse(inputs[level], residual, width, f"level{level}")
        residual = resize_nearest(fused, _sizes((None, *teacher_shapes[level])))
        outputs.insert(0, _widen(residual, channels_of(teacher_shapes[level]), f"level{level}"))
    return keras.Model(inputs, outputs, name="reviewer")


def _fuse(features: Tensor, residual: Tensor | None, width: int, name: str) -> Tensor:
    """Brings a level to `width` and mixes the level above it in, with two attention maps."""
    narrow = normalized(layers.Conv2D(width, 1, use_bias=False))
    features = keras.Sequential(narrow, name=f"{name}_narrow")(features)
    if residual is None:
        return features
    residual = resize_nearest(residual, _sizes(features.shape))
    both = ops.concatenate([features, residual], axis=channel_axis())
    attention = layers.Conv2D(2, 1, activation="sigmoid", name=f"{name}_attention")(both)
    of_features, of_residual = ops.split(attention, 2, axis=channel_axis())
    return features * of_features + residual * of_residual


def _widen(features: Tensor, width: int, name: str) -> Tensor:
    widen = normalized(layers.Conv2D(width, 3, padding="same", use_bias=False))
    return keras.Sequential(widen, name=f"{name}_widen")(features)


@keras.saving.register_keras_serializable("keras_smskd")
class ReviewKDDistiller(Distiller):
    """Knowledge Review (ReviewKD): a level of the teacher is learned by that level of the student and all above it.

    Formula: from the highest level down, the student's features, narrowed to `width` channels by a 1x1 convolution with
    batch normalisation, are mixed with those of the level above, resized to them: `x * a_0 + above * a_1` with two maps
    `a` in (0, 1), a 1x1 convolution of both. A 3x3 convolution with batch normalisation gives the mixture the teacher's
    width. Per sample and level the loss is the weighted mean of the mean squared differences from the teacher's
    features of the maps (weight 1) and of the maps pooled to 4x4, 2x2 and 1x1 (weights 1/2, 1/4, 1/8, of the sizes that
    are smaller than the map), summed over the levels.

    Feature maps `(batch, height, width, channels)` of any sizes and widths, resized to the teacher's; the highest level
    may be vectors `(batch, width)`, the pooled features. What is trained besides the student is no part of it. The
    published recipe fades the loss in over 20 epochs (`warmup_epochs=20`).

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, low level first.
        width: Channels of the mixture. Default: those of the student's highest level, 512 at most.
        pool_sizes: Sizes that maps are pooled to for the loss.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a layer outputs neither a feature map nor a vector, or a size is no whole number above 0; and as
            `Distiller` does.

    Example:

    >>> def model(width):
    ...     return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(width, 3, name="maps"),
    ...                              keras.layers.GlobalAveragePooling2D(name="pool"), keras.layers.Dense(3)])
    >>> distiller = ReviewKDDistiller(model(8), model(2), layers={"maps": "maps", "pool": "pool"}, warmup_epochs=20)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)

    Source: Chen et al., "Distilling Knowledge via Knowledge Review", arXiv:2104.09044.
    """

    kind = "feature"
    reads = "levels"

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        width: int | None = None,
        pool_sizes: Sequence[int] = (4, 2, 1),
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.width = None if width is None else check_count("width", width)
        self.pool_sizes = [check_count("pool_sizes", size) for size in check_list("pool_sizes", pool_sizes)]
        teacher_shapes, student_shapes = zip(*self.shape_pairs, strict=True)
        width = self.width or min(channels_of(student_shapes[-1]), LARGEST_WIDTH)
        self.reviewer = reviewer(teacher_shapes, student_shapes, width)

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        pairs = self.pairs(teacher, student)
        reviewed = keras.tree.flatten(self.reviewer([feature for _, feature in pairs], training=True))
        return sum(
            reviewkd_loss(hint, ops.cast(feature, hint.dtype), self.pool_sizes)
            for (hint, _), feature in zip(pairs, reviewed, strict=True)
        )
