"""Projectors: small trainable models that map a student feature to the shape of the teacher's hint."""

import keras
from keras import layers

from keras_smskd.ops import channel_axis, spatial_axes

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
    if len(teacher_shape) != len(student_shape) or len(teacher_shape) not in (1, 2, 3):
        raise ValueError(
            "A projector needs a teacher and a student feature of the same rank: vectors, sequences or maps. "
            f"Received: shapes {teacher_shape} and {student_shape}."
        )
    if len(teacher_shape) == 3:
        return convolutional_projector(teacher_shape, student_shape, activation)
    if teacher_shape[:-1] != student_shape[:-1]:
        raise ValueError(
            f"A dense projector cannot change the length of a sequence. Received: shapes {teacher_shape} and "
            f"{student_shape}."
        )
    return keras.Sequential([keras.Input(student_shape), layers.Dense(teacher_shape[-1])], name="projector")


def convolutional_projector(
    teacher_shape: Shape, student_shape: Shape, activation: str | None = "relu"
) -> keras.Sequential:
    """The regressor of FitNet's reference implementations: a convolution, batch normalisation, an activation.

    The convolution is 3x3 with stride 2 if the student's map is twice as large as the teacher's, a transposed 4x4
    with stride 2 if it is half as large, and otherwise "valid" with the kernel that makes up the difference.
    """
    axis = channel_axis()
    return keras.Sequential(
        [
            keras.Input(student_shape),
            *_convolution(teacher_shape, student_shape),
            layers.BatchNormalization(axis=axis, epsilon=EPSILON),
            *([layers.Activation(activation)] if activation else []),
        ],
        name="projector",
    )


def _convolution(teacher_shape: Shape, student_shape: Shape) -> list[keras.Layer]:
    axes = [axis - 1 for axis in spatial_axes()]
    teacher_size, student_size = ([shape[axis] for axis in axes] for shape in (teacher_shape, student_shape))
    filters = teacher_shape[0 if channel_axis() == 1 else -1]
    pairs = list(zip(teacher_size, student_size, strict=True))
    if all(student == 2 * teacher for teacher, student in pairs):
        # Padding by hand: "same" with stride 2 would pad the bottom and the right alone.
        return [layers.ZeroPadding2D(1), layers.Conv2D(filters, 3, strides=2)]
    if all(2 * student == teacher for teacher, student in pairs):
        return [layers.Conv2DTranspose(filters, 4, strides=2, padding="same")]
    if all(student >= teacher for teacher, student in pairs):
        return [layers.Conv2D(filters, [1 + student - teacher for teacher, student in pairs])]
    raise ValueError(
        "A convolutional projector needs a student's map that is at least as large as the teacher's, or half its "
        f"size. Received: shapes {teacher_shape} and {student_shape}."
    )
