"""SSKD: knowledge distillation with self-supervision."""

import math
from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.base.prepared import PreparedDistiller, PreparingDistiller
from keras_smskd.base.tapped_model import VIEWS
from keras_smskd.checks import check_fraction, check_positive, check_weight
from keras_smskd.features import LOGITS, Features, input_specs, precision
from keras_smskd.ops import flatten, mean_of_kept, normalize, softened_divergence, spatial_axes, true_class
from keras_smskd.projectors import embedder

Tensor = Any

# A sample as it is, and turned by 90, 180 and 270 degrees.
ROTATIONS = 4


def sskd_loss(
    teacher: Tensor,
    student: Tensor,
    teacher_embeddings: Tensor,
    student_embeddings: Tensor,
    y: Tensor,
    temperature: float = 4.0,
    similarity_temperature: float = 0.5,
    rotation_temperature: float = 4.0,
    logits_weight: float = 0.9,
    similarity_weight: float = 10.0,
    rotation_weight: float = 2.7,
    similarity_ratio: float = 0.75,
    rotation_ratio: float = 1.0,
) -> Tensor:
    """Divergence of the logits and of the similarities of rotated samples, `(batch,)`; see `SSKDDistiller`.

    Logits and embeddings are `(4 * batch, size)`: row `4 * i` of sample i, the next three of its rotations.
    """
    (teacher, teacher_rotated), (student, student_rotated) = _apart(teacher), _apart(student)
    true = true_class(y, teacher)
    wrong = _rank(teacher_rotated, true)
    rotated = softened_divergence(teacher_rotated, student_rotated, rotation_temperature)
    teacher_similarities, student_similarities = similarities(teacher_embeddings), similarities(student_embeddings)
    confused = _rank(teacher_similarities, own(teacher_similarities))
    similar = softened_divergence(teacher_similarities, student_similarities, similarity_temperature)
    return (
        logits_weight * softened_divergence(teacher, student, temperature)
        + similarity_weight * mean_of_kept(similar, _kept(confused, similarity_ratio))
        + rotation_weight * mean_of_kept(rotated, _kept(wrong, rotation_ratio))
    )


def _apart(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of samples as they are, `(batch, size)`, and those of their rotations, `(batch, 3, size)`."""
    rows = ops.reshape(rows, (-1, ROTATIONS, rows.shape[-1]))
    return rows[:, 0], rows[:, 1:]


def similarities(embeddings: Tensor) -> Tensor:
    """Cosines of the embeddings of rotated samples with those of samples as they are, `(batch, 3, batch)`."""
    straight, rotated = _apart(normalize(embeddings))
    return ops.matmul(rotated, ops.transpose(straight))


def own(similarities: Tensor) -> Tensor:
    """Which of the similarities are those of a sample with itself, `(batch, batch)`."""
    samples = ops.arange(ops.shape(similarities)[0])
    return samples[:, None] == samples


def _rank(scores: Tensor, true: Tensor) -> Tensor:
    """How many of the scores `(batch, 3, size)` are above the one that is marked in `true`, `(batch, size)`."""
    of_true = ops.sum(ops.where(true[:, None, :], scores, 0.0), axis=-1, keepdims=True)
    return ops.sum(ops.cast(scores > of_true, "int32"), axis=-1)


def _kept(rank: Tensor, ratio: float) -> Tensor:
    """Which rows to keep, as a mask of the shape of `rank`: all of rank 0, and of the others a share, lowest first."""
    ranks = ops.reshape(rank, (-1,))
    count = ops.shape(ranks)[0]
    wrong = ops.sum(ops.cast(ranks > 0, precision()))
    positions = ops.argsort(ops.argsort(ranks * count + ops.arange(count, dtype="int32")))
    dropped = wrong - ops.floor(ratio * wrong)
    return ops.reshape(ops.cast(positions, precision()) < ops.cast(count, precision()) - dropped, ops.shape(rank))


class RotatingDistiller(Distiller):
    """Base of distillers that see every image rotated by 0, 90, 180 and 270 degrees, and read one pair of features."""

    reads = "features"
    views = ROTATIONS

    def __init__(self, teacher: Model = None, student: Model = None, **kwargs: Any) -> None:
        super().__init__(teacher, student, **kwargs)
        if len(self.shape_pairs) != 1:
            raise ValueError(f"`layers` of {self.method} must have one entry. Received: layers={self.layer_pairs!r}")
        shapes = [tuple(inputs.shape) for inputs in keras.tree.flatten(input_specs(self.student))]
        if len(shapes) != 1 or len(shapes[0]) != 4 or len({shapes[0][axis] for axis in spatial_axes()}) != 1:
            raise ValueError(
                f"`student` must take square images for {self.method}, which rotates them. Received: a student with "
                f"inputs of shape {', '.join(map(str, shapes))}."
            )

    def augment(self, x: Any) -> Any:
        return keras.tree.map_structure(rotations_of, x)


def rotations_of(x: Tensor) -> Tensor:
    """Every image of a batch by 0, 90, 180 and 270 degrees, `(4 * batch, height, width, channels)`."""
    height, width = spatial_axes()
    turned = ops.swapaxes(x, height, width)
    upside_down = ops.flip(ops.flip(x, height), width)  # Keras 3.8 flips one axis at a time on TensorFlow.
    rotations = [x, ops.flip(turned, height), upside_down, ops.flip(turned, width)]
    return ops.reshape(ops.stack(rotations, axis=1), (-1, *ops.shape(x)[1:]))


@keras.saving.register_keras_serializable("keras_smskd")
class ContrastDistiller(PreparingDistiller, RotatingDistiller):
    """The stage before `SSKDDistiller`: the teacher's head learns to tell which sample a rotated one is.

    Formula: per sample the mean over its three rotations of `-log softmax_j(<e_rotated, e_j>)` at the sample itself,
    with `e` the embeddings of length 1 and j the samples of the batch. The student is not trained.

    Args:
        distiller: The `SSKDDistiller` of the stage after, the teacher's head of which is trained; see its `initial`.
        **kwargs: Further arguments of `Distiller`, all but `layers` and those of the models.
    """

    smallest_batch = 2

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        features, _ = self.pairs(teacher[VIEWS], student[VIEWS])[0]
        cosines = similarities(self.prepared[0](flatten(features)))
        likelihoods = ops.where(own(cosines)[:, None, :], ops.log_softmax(cosines, axis=-1), 0.0)
        return -ops.mean(ops.sum(likelihoods, axis=-1), axis=-1)


@keras.saving.register_keras_serializable("keras_smskd")
class SSKDDistiller(RotatingDistiller, PreparedDistiller):
    """Self-Supervision Knowledge Distillation (SSKD): teacher and student compare rotated images alike.

    Formula: the sum of three divergences `temperature^2 * KL(teacher || student)` of softmaxes, each at a temperature
    of its own: `logits_weight` times that of the logits of a sample; `rotation_weight` times that of the logits of its
    rotations by 90, 180 and 270 degrees; `similarity_weight` times that of the cosines of each rotation with all
    samples of the batch, between embeddings that a head makes of the features. The last two are means
    over those rotations that the teacher gets right and a share of the others, the ones that it gets least wrong: it is
    right if the label, or the sample itself, scores highest.

    The student's head is trained with the student. The teacher's is trained in the stage before, `initial()`, and
    fixed in this one; without that stage it is random. Both models run on four times the batch.

    Features of any rank, flattened; teacher and student may differ in size. Images must be square.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of one `{teacher_layer: student_layer}`, the pooled features in front of the classifier.
        temperature: Temperature of the logits of samples as they are, above 0.
        similarity_temperature: Temperature of the similarities, above 0.
        rotation_temperature: Temperature of the logits of rotated samples, above 0.
        logits_weight: Weight of the logits of samples as they are, at least 0.
        similarity_weight: Weight of the similarities, at least 0.
        rotation_weight: Weight of the logits of rotated samples, at least 0.
        similarity_ratio: Share that is kept of the similarities in which the teacher is wrong, from 0 to 1.
        rotation_ratio: Share that is kept of the rotated samples in which the teacher is wrong, from 0 to 1.
        **kwargs: Further arguments of `Distiller`; the published `label_weight` is 0.1.

    Raises:
        ValueError: If a number is out of range, `layers` has more than one entry, or the student does not take square
            images; and as `Distiller` does.

    Example:

    >>> def model(width):
    ...     convolution = keras.layers.Conv2D(width, 3)
    ...     pool = keras.layers.GlobalAveragePooling2D(name="pool")
    ...     return keras.Sequential([keras.Input((8, 8, 1)), convolution, pool, keras.layers.Dense(3)])
    >>> distiller = SSKDDistiller(model(16), model(4), layers={"pool": "pool"})
    >>> contrast = distiller.initial()
    >>> contrast.compile("sgd")
    >>> history = contrast.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)

    Source: Xu et al., "Knowledge Distillation Meets Self-Supervision", arXiv:2006.07114.
    """

    kind = "relation"
    default_label_weight = 0.1

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        temperature: float = 4.0,
        similarity_temperature: float = 0.5,
        rotation_temperature: float = 4.0,
        logits_weight: float = 0.9,
        similarity_weight: float = 10.0,
        rotation_weight: float = 2.7,
        similarity_ratio: float = 0.75,
        rotation_ratio: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.temperature = check_positive("temperature", temperature)
        self.similarity_temperature = check_positive("similarity_temperature", similarity_temperature)
        self.rotation_temperature = check_positive("rotation_temperature", rotation_temperature)
        self.logits_weight = check_weight("logits_weight", logits_weight)
        self.similarity_weight = check_weight("similarity_weight", similarity_weight)
        self.rotation_weight = check_weight("rotation_weight", rotation_weight)
        self.similarity_ratio = check_fraction("similarity_ratio", similarity_ratio)
        self.rotation_ratio = check_fraction("rotation_ratio", rotation_ratio)
        sizes = [math.prod(shape) for shape in self.shape_pairs[0]]
        self.teacher_head, self.student_head = (embedder(size, size, size) for size in sizes)
        self.prepared = [self.teacher_head]

    def initial(self, **kwargs: Any) -> ContrastDistiller:
        """The stage before, which trains the teacher's head of this distiller.

        Args:
            **kwargs: Its own arguments of `Distiller`, such as `name`.
        """
        return ContrastDistiller(self, **kwargs)

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        teacher_features, student_features = self.pairs(teacher[VIEWS], student[VIEWS])[0]
        return sskd_loss(
            teacher[VIEWS][LOGITS],
            student[VIEWS][LOGITS],
            ops.stop_gradient(self.teacher_head(flatten(teacher_features))),
            self.student_head(flatten(student_features)),
            y,
            self.temperature,
            self.similarity_temperature,
            self.rotation_temperature,
            self.logits_weight,
            self.similarity_weight,
            self.rotation_weight,
            self.similarity_ratio,
            self.rotation_ratio,
        )
