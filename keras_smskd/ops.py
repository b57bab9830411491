"""Tensor maths that two or more methods share."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any

# Vectors shorter than this count as zero: normalising them would only blow up rounding noise.
SHORTEST = 1e-8


def flatten(features: Tensor) -> Tensor:
    """Flattens features of any rank to `(batch, size)`."""
    return ops.reshape(features, (ops.shape(features)[0], int(np.prod(features.shape[1:]))))


def safe_sqrt(x: Tensor, smallest: float = SHORTEST**2) -> Tensor:
    """Square root whose value and gradient are 0 (not infinite) where `x` is not above `smallest`."""
    positive = x > smallest
    return ops.where(positive, ops.sqrt(ops.where(positive, x, 1.0)), 0.0)


def safe_divide(x: Tensor, y: Tensor) -> Tensor:
    """Quotient whose value and gradient are 0 where `y` is 0."""
    nonzero = y != 0
    return ops.where(nonzero, x / ops.where(nonzero, y, 1.0), 0.0)


def normalize(x: Tensor, order: int = 2) -> Tensor:
    """Scales the last axis to length 1 in the L1 or L2 norm; a zero vector stays zero, gradient included."""
    if order == 1:
        return safe_divide(x, ops.sum(ops.abs(x), axis=-1, keepdims=True))
    return safe_divide(x, safe_sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)))


def huber(x: Tensor) -> Tensor:
    """Huber function with delta 1 of every entry."""
    near = ops.clip(x, -1.0, 1.0)
    return near * (x - 0.5 * near)


def softened_divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """`temperature^2 * KL(softmax(teacher / temperature) || softmax(student / temperature))` per sample.

    Written with `log_softmax`, so that no probability is clipped: a divergence of 40 reads 40.
    """
    log_teacher = ops.log_softmax(teacher / temperature, axis=-1)
    log_student = ops.log_softmax(student / temperature, axis=-1)
    return temperature**2 * divergence(log_teacher, log_student)


def divergence(log_teacher: Tensor, log_student: Tensor) -> Tensor:
    """`KL(teacher || student)` of probabilities given by their logarithms, over the last axis."""
    return ops.sum(ops.exp(log_teacher) * (log_teacher - log_student), axis=-1)


def dense_labels(y: Tensor, logits: Tensor) -> Tensor:
    """Labels as probabilities of the shape and precision of `logits`, whether they come sparse, one-hot or soft."""
    if y is None:
        raise ValueError(
            "Labels are needed: `y` must be given. Received: y=None. Without labels use a method and a "
            "weighting without TCP."
        )
    classes = logits.shape[-1]
    if len(y.shape) == 2 and y.shape[-1] == classes:
        return ops.cast(y, logits.dtype)
    return ops.one_hot(ops.cast(ops.reshape(y, (-1,)), "int32"), classes, dtype=logits.dtype)


def channel_axis() -> int:
    """The channel axis of feature maps under the configured image data format."""
    return 1 if keras.config.image_data_format() == "channels_first" else -1


def spatial_axes() -> tuple[int, int]:
    """Height and width axes of feature maps under the configured image data format."""
    return (2, 3) if channel_axis() == 1 else (1, 2)


def match_sizes(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Average-pools whichever feature map is larger, so that both have the smaller height and width."""
    sizes = [min(teacher.shape[axis], student.shape[axis]) for axis in spatial_axes()]
    return average_pool(teacher, sizes), average_pool(student, sizes)


def average_pool(features: Tensor, sizes: Sequence[int]) -> Tensor:
    """Average-pools feature maps to a height and a width, adaptively where these do not divide the old ones."""
    for axis, size in zip(spatial_axes(), sizes, strict=True):
        features = _pool_axis(features, axis, size)
    return features


def _pool_axis(x: Tensor, axis: int, size: int) -> Tensor:
    """Adaptive average pooling along one axis: window i is [floor(i n / size), ceil((i + 1) n / size))."""
    n = x.shape[axis]
    if n == size:
        return x
    if n % size == 0:
        shape = [-1, *x.shape[1:axis], size, n // size, *x.shape[axis + 1 :]]
        return ops.mean(ops.reshape(x, shape), axis=axis + 1)
    windows = np.zeros((n, size), "float32")
    for i in range(size):
        start, stop = i * n // size, -(-(i + 1) * n // size)
        windows[start:stop, i] = 1.0 / (stop - start)
    return ops.moveaxis(ops.tensordot(x, windows, axes=[[axis], [0]]), -1, axis)


def standardize_logits(logits: Tensor) -> Tensor:
    """Brings every row to mean 0 and standard deviation 1; one that is constant up to rounding to 0, gradient included.

    The published code divides by `classes - 1` in the deviation and adds 1e-7 to it; so does this.
    """
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    variance = ops.sum(ops.square(centred), axis=-1, keepdims=True) / (logits.shape[-1] - 1)
    rounding = 1e-12 * (1.0 + ops.max(ops.square(logits), axis=-1, keepdims=True))
    deviation = safe_sqrt(variance, rounding)
    return ops.where(deviation > 0, centred, 0.0) / (deviation + 1e-7)


def channels_of(shape: Sequence[int]) -> int:
    """The number of channels of maps of this shape."""
    return shape[0 if channel_axis() == 1 else -1]


def channel_rows(features: Tensor) -> Tensor:
    """The map of every channel as a row, `(batch, channels, positions)`."""
    features = ops.moveaxis(features, channel_axis(), 1)
    return ops.reshape(features, (-1, features.shape[1], math.prod(features.shape[2:])))


def per_channel(values: Tensor, features: Tensor) -> Tensor:
    """One value per channel, in the shape that broadcasts over `features`."""
    shape = [1] * len(features.shape)
    shape[channel_axis()] = -1
    return ops.reshape(values, shape)


def width_axis(shape: Sequence[int]) -> int:
    """The axis of the channels of a batch of features that have `shape`."""
    return channel_axis() if len(shape) == 3 else -1


def attention(features: Tensor, power: float = 2) -> Tensor:
    """Where a feature map is active: the mean over channels of its powers, flattened to unit length."""
    return normalize(flatten(ops.mean(ops.power(features, power), axis=channel_axis())))


def mean_square(difference: Tensor) -> Tensor:
    """Mean of the squares of all entries of a sample, `(batch,)`."""
    return ops.mean(ops.square(flatten(difference)), axis=-1)


def mean_of_kept(values: Tensor, mask: Tensor = None) -> Tensor:
    """Rows `(batch,)` whose mean is that of all `values`, `(batch, ...)`, where `mask` is 1."""
    axes = tuple(range(1, len(values.shape)))
    if mask is None:
        return ops.mean(values, axis=axes)
    mask = ops.cast(mask, values.dtype)
    return safe_divide(ops.sum(values * mask, axis=axes), ops.mean(ops.sum(mask, axis=axes)))


def pairs_of_kept(mask: Tensor) -> Tensor:
    """The mask `(batch, length, length)` of pairs of tokens that are both kept; None without a mask."""
    if mask is None:
        return None
    mask = ops.cast(mask, "bool")
    return ops.logical_and(mask[:, :, None], mask[:, None, :])


# A finite stand-in for minus infinity: far below any logit, and its difference to itself is 0.
LOWEST = -1e30


def true_class(y: Tensor, logits: Tensor) -> Tensor:
    """Mask of the shape of `logits` with the true class of every sample, of soft labels the most probable one."""
    return ops.one_hot(ops.argmax(dense_labels(y, logits), axis=-1), logits.shape[-1], dtype="bool")


def log_softmax_of_others(logits: Tensor, target: Tensor) -> Tensor:
    """Log-probabilities of all classes but the target among themselves; the target's is far below any."""
    return ops.log_softmax(ops.where(target, LOWEST, logits), axis=-1)


# Keeps the quotient of a correlation finite, as in the published code.
EPSILON = 1e-8


def correlation(x: Tensor, y: Tensor, clamped: bool = False) -> Tensor:
    """Pearson's correlation over the last axis, 0 (gradient included) where either vector is constant.

    Short vectors count less: `EPSILON` is added to the product of the two lengths, or each is clamped to it (which, as
    in PyTorch, leaves its gradient as it is).
    """
    x, y = _centre(x), _centre(y)
    lengths = [safe_sqrt(ops.sum(ops.square(vector), axis=-1), 0.0) for vector in (x, y)]
    if clamped:
        lengths = [length + ops.stop_gradient(ops.maximum(EPSILON - length, 0.0)) for length in lengths]
    return ops.sum(x * y, axis=-1) / (lengths[0] * lengths[1] + (0.0 if clamped else EPSILON))


def _centre(x: Tensor) -> Tensor:
    """Takes the mean off; a vector that is constant up to rounding becomes 0, gradient included."""
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    variation, size = (ops.sum(ops.square(vector), axis=-1, keepdims=True) for vector in (centred, x))
    return ops.where(variation > 1e-12 * size, centred, 0.0)
