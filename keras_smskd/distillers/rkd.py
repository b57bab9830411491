"""RKD: relational knowledge distillation."""

from typing import Any

import keras
from keras import ops

from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.checks import check_weight
from keras_smskd.features import Features
from keras_smskd.ops import flatten, huber, safe_divide, safe_sqrt

Tensor = Any


def rkd_loss(
    teacher: Tensor,
    student: Tensor,
    distance_weight: float = 25.0,
    angle_weight: float = 50.0,
    squared: bool = False,
    one_by_one: bool = False,
) -> Tensor:
    """Difference of the distances and angles within a batch, of each sample, `(batch,)`; see `RKDDistiller`."""
    teacher, student = flatten(teacher), flatten(student)
    with_angles = _angles_one_by_one if one_by_one else _angles_at_once
    of_teacher, of_student, angle = (with_angles if angle_weight else _no_angles)(teacher, student)
    loss = angle_weight * angle
    if distance_weight:
        distance = huber(_distances(of_student, squared) - _distances(of_teacher, squared))
        loss += distance_weight * ops.mean(distance, axis=-1)
    return loss


def _no_angles(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    of_teacher, of_student = (ops.sum(ops.square(_differences(x)), axis=-1) for x in (teacher, student))
    return of_teacher, of_student, ops.zeros_like(of_student[:, 0])


def _angles_at_once(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The squared distances of all pairs, `(batch, batch)`, and the difference of the angles at each sample."""
    (of_teacher, angles_of_teacher), (of_student, angles) = map(_angles, map(_differences, (teacher, student)))
    return of_teacher, of_student, ops.mean(huber(angles - angles_of_teacher), axis=(-2, -1))


def _differences(x: Tensor) -> Tensor:
    """`x_j - x_i` of all pairs of a batch, `(batch i, batch j, size)`."""
    return x[None, :, :] - x[:, None, :]


def _angles(differences: Tensor) -> tuple[Tensor, Tensor]:
    """Squared lengths, `(..., j)`, and the cosines of the angles between differences, `(..., j, k)`."""
    squares = ops.sum(ops.square(differences), axis=-1)
    inverse = safe_divide(ops.ones_like(squares), safe_sqrt(squares))
    products = ops.matmul(differences, ops.swapaxes(differences, -1, -2))
    return squares, products * inverse[..., :, None] * inverse[..., None, :]


def _distances(squares: Tensor, squared: bool) -> Tensor:
    """Distances of all pairs, in units of the mean positive distance, `(batch, batch)`."""
    distances = squares if squared else safe_sqrt(squares)
    positive = ops.sum(ops.cast(distances > 0, distances.dtype))
    return safe_divide(distances, safe_divide(ops.sum(distances), positive))


def _angles_one_by_one(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `_angles_at_once`, for one sample i after another, forwards and backwards. The teacher gets no gradient."""

    @ops.custom_gradient
    def compare(teacher: Tensor, student: Tensor) -> Any:
        def of_sample(rows: tuple[Tensor, Tensor]) -> Tensor:
            (of_teacher, angles_of_teacher), (squares, angles) = _at(rows, teacher, student)
            angle = ops.mean(huber(angles - angles_of_teacher))
            return ops.concatenate([angle[None], of_teacher, squares])

        def gradient(*arguments: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor]:
            upstream = arguments[-1] if upstream is None else upstream
            return ops.zeros_like(teacher), _gradient(teacher, student, upstream)

        return ops.map(of_sample, (teacher, student)), gradient

    angle, of_teacher, of_student = _parts(compare(ops.stop_gradient(teacher), student))
    return ops.stop_gradient(of_teacher), of_student, angle


def _parts(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The angle, and the squared lengths of teacher and student, out of what was computed together."""
    size = ops.shape(rows)[0]
    return rows[:, 0], rows[:, 1 : 1 + size], rows[:, 1 + size :]


def _at(rows: tuple[Tensor, Tensor], *features: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Squared lengths and angles at a sample."""
    return [_angles(every - row) for row, every in zip(rows, features, strict=True)]


def _gradient(teacher: Tensor, student: Tensor, upstream: Tensor) -> Tensor:
    """The gradient, of the angles and of the squared lengths, with respect to the student."""
    of_angles, _, of_squares = _parts(upstream)

    def add_sample(i: Tensor, gradient: Tensor) -> Tensor:
        rows = tuple(ops.take(features, i, axis=0) for features in (teacher, student))
        (_, angles_of_teacher), (squares, angles) = _at(rows, teacher, student)
        differences, lengths = student - rows[1], safe_sqrt(squares)[:, None]
        directions = safe_divide(differences, lengths)
        clipped = ops.clip(angles - angles_of_teacher, -1.0, 1.0) / ops.cast(ops.size(angles), angles.dtype)
        along = 2.0 * ops.take(of_angles, i, axis=0) * ops.matmul(clipped, directions)
        across = along - directions * ops.sum(directions * along, axis=-1, keepdims=True)
        of_differences = safe_divide(across, lengths) + 2.0 * ops.take(of_squares, i, axis=0)[:, None] * differences
        here = ops.cast(ops.arange(ops.shape(student)[0]) == i, student.dtype)[:, None]
        return gradient + of_differences - here * ops.sum(of_differences, axis=0)

    return ops.fori_loop(0, ops.shape(student)[0], add_sample, ops.zeros_like(student))


@keras.saving.register_keras_serializable("keras_smskd")
class RKDDistiller(Distiller):
    """Relational Knowledge Distillation (RKD): distances and angles between samples are to agree.

    Formula: `distance_weight * mean_ij huber(d_student - d_teacher) + angle_weight * mean_ijk huber(a_student -
    a_teacher)`, with `d_ij` the distance of samples i and j in units of the mean positive distance, `a_ijk` the cosine
    of the angle at sample i between samples j and k, and Huber's delta 1; summed over the layers. The means run over
    all pairs and triples, degenerate ones included, as in the reference implementation (the paper sums over distinct
    ones). The loss of sample i is the part with i in front.

    Features of any rank, flattened; teacher and student may differ in size. The angles take time cubic in the batch,
    and memory too: `batch^2 * (size + batch)` numbers, several times over. `one_by_one` computes the same, forwards and
    backwards, for one sample i after another in `batch * (size + batch)` numbers, a batch-th, but slower.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, usually the pooled features in front of the classifier.
        distance_weight: Weight of the distances, at least 0.
        angle_weight: Weight of the angles, at least 0.
        squared: Whether to compare squared distances.
        one_by_one: Whether to save the memory of the angles, for large batches; without effect if `angle_weight` is 0.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a weight is negative; in `fit`, if a batch holds fewer than 3 samples, or fewer than 2 with
            `angle_weight=0`; and as `Distiller` does.

    Example:

    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, name="pool"), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="pool"), keras.layers.Dense(3)])
    >>> distiller = RKDDistiller(teacher, student, layers={"pool": "pool"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)

    Source: Park et al., "Relational Knowledge Distillation", arXiv:1904.05068.
    """

    kind = "relation"
    reads = "features"

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        distance_weight: float = 25.0,
        angle_weight: float = 50.0,
        squared: bool = False,
        one_by_one: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.distance_weight = check_weight("distance_weight", distance_weight)
        self.angle_weight = check_weight("angle_weight", angle_weight)
        self.squared = squared
        self.one_by_one = one_by_one
        self.smallest_batch = 3 if angle_weight else 2

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        return sum(
            rkd_loss(*pair, self.distance_weight, self.angle_weight, self.squared, self.one_by_one)
            for pair in self.pairs(teacher, student)
        )
