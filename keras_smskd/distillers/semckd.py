"""SemCKD: semantic calibration for cross-layer knowledge distillation."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.checks import check_count, check_positive
from keras_smskd.features import Features
from keras_smskd.ops import channel_axis, channels_of, flatten, match_sizes, mean_square, normalize
from keras_smskd.projectors import embedder, normalized

Tensor = Any
Grid = Sequence[Sequence[Tensor]]


def semckd_loss(teacher: Grid, student: Grid, attention: Tensor) -> Tensor:
    """Attended difference of maps of all pairs of layers, `(batch,)`; see `SemCKDDistiller`.

    Args:
        teacher: The teacher's maps, those of pair `(i, j)` of student layer i and teacher layer j in `teacher[i][j]`.
        student: The student's projected maps, of the same shapes.
        attention: Weight of each pair, `(batch, student layers, teacher layers)`.
    """
    differences = [
        ops.stack([mean_square(feature - hint) for hint, feature in zip(*rows, strict=True)], axis=-1)
        for rows in zip(teacher, student, strict=True)
    ]
    return ops.sum(attention * ops.stack(differences, axis=1), axis=(1, 2)) / len(differences)


def attention_of(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """How much each student layer attends to each teacher layer, `(batch, student layers, teacher layers)`."""
    logits = ops.matmul(queries, ops.transpose(keys, (0, 2, 1))) / temperature
    # Of a single teacher layer, `ops.softmax` would warn that it is always 1.
    return ops.exp(ops.log_softmax(logits, axis=-1))


def similarities(features: Tensor, batch_size: int) -> Tensor:
    """Products of all pairs of samples of a batch, with zeros for the samples to `batch_size`."""
    features = flatten(features)
    missing = batch_size - ops.shape(features)[0]
    return ops.pad(ops.matmul(features, ops.transpose(features)), ((0, 0), (0, missing)))


def semckd_projector(teacher_channels: int, student_channels: int) -> keras.Sequential:
    """Convolutions from a student's map of any size to the width of a teacher's: 1x1, 3x3 and 1x1."""
    shape = (student_channels, None, None) if channel_axis() == 1 else (None, None, student_channels)
    convolutions = [layers.Conv2D(2 * teacher_channels, kernel, padding="same", use_bias=False) for kernel in (1, 3)]
    steps = [layer for convolution in convolutions for layer in normalized(convolution, "relu")]
    return keras.Sequential([keras.Input(shape), *steps, layers.Conv2D(teacher_channels, 1, use_bias=False)])


@keras.saving.register_keras_serializable("keras_smskd")
class SemCKDDistiller(Distiller):
    """Semantic Calibration (SemCKD): every student layer learns from all teacher layers, as much as it attends to each.

    Formula: per sample `sum_ij attention_ij * mean((projector_ij(student_i) - teacher_j)^2)`, over the entries of a
    map, divided by the number of student layers. `attention_ij = softmax_j(<query_i, key_j> / temperature)`, where
    query and key are embeddings, scaled to length 1, of the sample's products with the other samples of the batch in
    a student and a teacher layer. All student layers in `layers` are crossed with all teacher layers.

    The embeddings take as many products as `batch_size` says: for missing samples of a smaller batch they are 0 (the
    reference implementation skips such batches), larger batches are refused. The attention depends on the order of a
    batch, as in the paper.

    Feature maps `(batch, height, width, channels)` of any sizes and widths: of each pair the larger one is
    average-pooled. A trained projector of three convolutions for each pair gives the teacher's width.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, layers that output feature maps.
        batch_size: Number of samples in a batch; smaller batches are allowed.
        factor: The embeddings have size `batch_size // factor`, at least 1.
        temperature: Temperature of the attention, above 0.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a number is out of range, or a batch is larger than `batch_size`; and as `Distiller` does.

    Example:

    >>> def model(width):
    ...     convolution = keras.layers.Conv2D(width, 3, name="maps")
    ...     pool = keras.layers.GlobalAveragePooling2D()
    ...     return keras.Sequential([keras.Input((8, 8, 1)), convolution, pool, keras.layers.Dense(3)])
    >>> distiller = SemCKDDistiller(model(16), model(4), layers={"maps": "maps"}, batch_size=4)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 8, 8, 1)), np.zeros(8), batch_size=4, verbose=0)

    Source: Chen et al., "Cross-Layer Distillation with Semantic Calibration", arXiv:2012.03236.
    """

    kind = "feature"
    reads = "maps"
    default_distillation_weight = 400.0

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        batch_size: int,
        factor: int = 4,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.batch_size = self.largest_batch = check_count("batch_size", batch_size)
        self.factor = check_count("factor", factor)
        self.temperature = check_positive("temperature", temperature)
        teacher_shapes, student_shapes = self._apart(self.shape_pairs)
        size = max(1, self.batch_size // self.factor)
        self.queries = [embedder(self.batch_size, 2 * size, size) for _ in student_shapes]
        self.keys = [embedder(self.batch_size, 2 * size, size) for _ in teacher_shapes]
        self.projectors = [
            [semckd_projector(channels_of(teacher), channels_of(student)) for teacher in teacher_shapes]
            for student in student_shapes
        ]

    def _apart(self, pairs: Sequence[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
        """What belongs to each teacher layer, and what to each student layer."""
        of_student = dict(zip(self.layer_pairs.values(), (student for _, student in pairs), strict=True))
        return [teacher for teacher, _ in pairs], list(of_student.values())

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        teacher_maps, student_maps = self._apart(self.pairs(teacher, student))
        self._check_batch(student_maps[0].shape[0])
        attention = attention_of(
            self._embedded(self.queries, student_maps), self._embedded(self.keys, teacher_maps), self.temperature
        )
        matched = [[match_sizes(hint, feature) for hint in teacher_maps] for feature in student_maps]
        projected = [
            [
                ops.cast(project(feature, training=True), hint.dtype)
                for project, (hint, feature) in zip(*rows, strict=True)
            ]
            for rows in zip(self.projectors, matched, strict=True)
        ]
        return semckd_loss([[hint for hint, _ in row] for row in matched], projected, attention)

    def _embedded(self, embedders: Sequence[keras.Model], maps: Sequence[Tensor]) -> Tensor:
        """Queries or keys of all layers, `(batch, layers, size)`."""
        embedded = [embed(similarities(x, self.batch_size)) for embed, x in zip(embedders, maps, strict=True)]
        return normalize(ops.stack(embedded, axis=1))

    def _check_batch(self, size: int | None) -> None:
        if size is not None and size > self.batch_size:
            raise ValueError(
                f"`batch_size` must be at least the number of samples in a batch. Received: "
                f"batch_size={self.batch_size} and a batch of {size}."
            )
