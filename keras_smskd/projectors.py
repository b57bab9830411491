"""Projectors: small trainable models that map a student feature to the shape of the teacher's hint."""

import math

import keras
import numpy as np
from keras import layers

from keras_smskd.features import precision
from keras_smskd.ops import channel_axis, channels_of, spatial_axes

Shape = tuple[int, ...]

# The published regressors normalise with this epsilon; Keras's own default is 1e-3.
EPSILON = 1e-5


@keras.saving.register_keras_serializable("keras_smskd")
def projector(teacher_shape: Shape, student_shape: Shape, activation: str | None = "relu") -> keras.Sequential:
    """Builds the projector that fits two feature shapes (without the batch axis): convolutional for maps, else dense.

    Raises:
        ValueError: If no projector maps the student's shape to the teacher's.

    Example:

    >>> projector((8, 8, 64), (16, 16, 32)).output_shape
    (None, 8, 8, 64)
    """
    if len(teacher_shape) == len(student_shape) == 3:
        return convolutional_projector(teacher_shape, student_shape, activation)
    return _model(student_shape, _pointwise_layer(teacher_shape, student_shape, use_bias=True))


@keras.saving.register_keras_serializable("keras_smskd")
def affine_projector(teacher_shape: Shape, student_shape: Shape) -> keras.Sequential:
    """Builds a `projector` without ReLU, for features that may be negative.

    Example:

    >>> affine_projector((8, 8, 64), (16, 16, 32)).output_shape
    (None, 8, 8, 64)
    """
    return projector(teacher_shape, student_shape, activation=None)


@keras.saving.register_keras_serializable("keras_smskd")
def pointwise_projector(teacher_shape: Shape, student_shape: Shape, use_bias: bool = True) -> keras.Sequential:
    """Builds the projector that changes the width alone, position by position: 1x1 convolutional for maps, else dense.

    Where the widths are equal there is nothing to project, and nothing trained.

    Raises:
        ValueError: If the shapes differ in more than their width.

    Example:

    >>> pointwise_projector((8, 8, 64), (8, 8, 32)).output_shape
    (None, 8, 8, 64)
    """
    layer = _pointwise_layer(teacher_shape, student_shape, use_bias)
    return _model(student_shape, layers.Identity() if teacher_shape == student_shape else layer)


def _model(student_shape: Shape, *project: keras.Layer) -> keras.Sequential:
    return keras.Sequential([keras.Input(student_shape), *project], name="projector")


def _pointwise_layer(teacher_shape: Shape, student_shape: Shape, use_bias: bool) -> keras.Layer:
    if len(teacher_shape) != len(student_shape) or len(teacher_shape) not in (1, 2, 3):
        raise ValueError(
            "`layers` must pair a teacher and a student feature of the same rank: vectors, sequences or maps. "
            f"Received: shapes {teacher_shape} and {student_shape}."
        )
    are_maps = len(teacher_shape) == 3
    width = 0 if are_maps and channel_axis() == 1 else -1
    teacher_positions, student_positions = (np.delete(shape, width) for shape in (teacher_shape, student_shape))
    if (teacher_positions != student_positions).any():
        raise ValueError(
            "`layers` must pair sequences of one length, or maps of one size: a pointwise projector changes neither. "
            f"Received: shapes {teacher_shape} and {student_shape}."
        )
    if are_maps:
        return layers.Conv2D(teacher_shape[width], 1, use_bias=use_bias)
    return layers.Dense(teacher_shape[width], use_bias=use_bias)


def convolutional_projector(
    teacher_shape: Shape, student_shape: Shape, activation: str | None = "relu"
) -> keras.Sequential:
    """The regressor of FitNet's reference implementations: a convolution, batch normalisation, an activation.

    The convolution is 3x3 with stride 2 if the student's map is twice as large as the teacher's, a transposed 4x4
    with stride 2 if it is half as large, and otherwise "valid" with the kernel that makes up the difference.
    """
    *padding, convolution = _convolution(teacher_shape, student_shape)
    return _model(student_shape, *padding, *normalized(convolution, activation))


def _convolution(teacher_shape: Shape, student_shape: Shape) -> list[keras.Layer]:
    axes = [axis - 1 for axis in spatial_axes()]
    teacher_size, student_size = ([shape[axis] for axis in axes] for shape in (teacher_shape, student_shape))
    filters = channels_of(teacher_shape)
    pairs = list(zip(teacher_size, student_size, strict=True))
    if all(student == 2 * teacher for teacher, student in pairs):
        # Padding by hand: "same" with stride 2 would pad the bottom and the right alone.
        return [layers.ZeroPadding2D(1), layers.Conv2D(filters, 3, strides=2)]
    if all(2 * student == teacher for teacher, student in pairs):
        return [layers.Conv2DTranspose(filters, 4, strides=2, padding="same")]
    if all(student >= teacher for teacher, student in pairs):
        return [layers.Conv2D(filters, [1 + student - teacher for teacher, student in pairs])]
    raise ValueError(
        "`layers` must pair maps of which the student's is at least as large as the teacher's, or half its size, for "
        f"a convolutional projector. Received: shapes {teacher_shape} and {student_shape}."
    )


def normalized(layer: keras.Layer, activation: str | None = None) -> list[keras.Layer]:
    """A layer with batch normalisation and an activation behind it."""
    normalization = layers.BatchNormalization(axis=channel_axis(), epsilon=EPSILON)
    return [layer, normalization, *([layers.Activation(activation)] if activation else [])]


@keras.saving.register_keras_serializable("keras_smskd")
def connector(teacher_shape: Shape, student_shape: Shape, activation: str | None = None) -> keras.Sequential:
    """Builds the published connector: a 1x1 convolution without bias and batch normalisation.

    Example:

    >>> connector((8, 8, 64), (8, 8, 32)).output_shape
    (None, 8, 8, 64)
    """
    mix = layers.Conv2D(channels_of(teacher_shape), 1, use_bias=False)
    return keras.Sequential([keras.Input(student_shape), *normalized(mix, activation)], name="connector")


@keras.saving.register_keras_serializable("keras_smskd")
def linear_projector(teacher_shape: Shape, student_shape: Shape) -> keras.Sequential:
    """Builds a linear projector without bias, position by position, where the widths are equal too."""
    return _model(student_shape, _pointwise_layer(teacher_shape, student_shape, use_bias=False))


def embedder(inputs: int, hidden: int, outputs: int) -> keras.Sequential:
    """Two dense layers of these sizes, a ReLU between them."""
    dense = layers.Dense(hidden, activation="relu", dtype=precision()), layers.Dense(outputs, dtype=precision())
    return keras.Sequential([keras.Input((inputs,)), *dense])


def embedding(size: int, shape: Shape) -> keras.Layer:
    """Builds the dense layer that embeds features of `shape`, flattened."""
    dense = keras.layers.Dense(size, dtype=precision())
    dense.build((None, math.prod(shape)))
    return dense
