"""CRD: contrastive representation distillation."""

import math
from typing import Any

import keras
from keras import ops

from keras_smskd.base.batch import INDEX
from keras_smskd.base.distiller import Distiller, Model
from keras_smskd.checks import check_count, check_fraction, check_positive
from keras_smskd.features import Features, precision
from keras_smskd.ops import flatten, normalize
from keras_smskd.projectors import Shape, embedding

Tensor = Any

# The published critic adds this to its denominators.
SMALL = 1e-7


def crd_loss(
    teacher: Tensor, student: Tensor, teacher_normalizer: Tensor, student_normalizer: Tensor, samples: int
) -> Tensor:
    """How badly scores tell the positive, which is in front, from the negatives, `(batch,)`; see `CRDDistiller`.

    Args:
        teacher: Scores of the teacher's embeddings against the student's memory, `(batch, 1 + negatives)`.
        student: Scores of the student's embeddings against the teacher's memory.
        teacher_normalizer: Normaliser of the teacher's scores.
        student_normalizer: Normaliser of the student's scores.
        samples: Number of rows of a memory.
    """
    return _confusion(teacher, teacher_normalizer, samples) + _confusion(student, student_normalizer, samples)


def _confusion(scores: Tensor, normalizer: Tensor, samples: int) -> Tensor:
    """Minus the log likelihood that the positive is taken for one and the negatives for noise, `(batch,)`."""
    negatives = scores.shape[-1] - 1
    noise = negatives / samples
    log_odds = scores - ops.log(normalizer) - math.log(noise + SMALL)
    of_negatives = ops.sum(ops.softplus(log_odds[:, 1:]), axis=-1) + negatives * math.log1p(SMALL / noise)
    return ops.softplus(-log_odds[:, 0]) + of_negatives


def scores_against(memory: Tensor, embeddings: Tensor, candidates: Tensor, temperature: float) -> Tensor:
    """Similarity over temperature of every embedding to its candidate rows of a memory, in `candidates`' shape."""
    # The similarities to all rows are far fewer numbers than the rows of all candidates.
    similarities = ops.matmul(embeddings, ops.transpose(memory))
    return ops.take_along_axis(similarities, candidates, axis=-1) / temperature


def normalizer_of(scores: Tensor, samples: int, known: Tensor) -> Tensor:
    """`known`, or while that is not above 0 the number of samples times the mean exponential of the scores."""
    return ops.stop_gradient(ops.where(known > 0, known, samples * ops.mean(ops.exp(scores))))


def remembered(memory: Tensor, embeddings: Tensor, index: Tensor, momentum: float) -> Tensor:
    """A memory whose rows `index` have moved towards the embeddings, at unit length."""
    rows = momentum * ops.take(memory, index, axis=0) + (1.0 - momentum) * embeddings
    # A copy: Keras 3.8 writes into the tensor itself on PyTorch.
    return ops.scatter_update(ops.copy(memory), index[:, None], ops.stop_gradient(normalize(rows)))


class Embedding(keras.layers.Layer):
    """A trained linear embedding of unit length, with what it was for each training sample and its normaliser.

    Args:
        shape: Shape of the features to embed, without the batch.
        samples: Number of training samples.
        size: Size of the embedding.
    """

    def __init__(self, shape: Shape, samples: int, size: int) -> None:
        super().__init__(dtype=precision())
        self.dense = embedding(size, shape)
        bound = math.sqrt(3 / size)
        self.memory = self._state("memory", (samples, size), keras.initializers.RandomUniform(-bound, bound))
        self.normalizer = self._state("normalizer", (), keras.initializers.Constant(-1.0))

    def _state(self, name: str, shape: Shape, initializer: keras.initializers.Initializer) -> keras.Variable:
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, autocast=False, aggregation="mean"
        )

    def call(self, features: Tensor) -> Tensor:
        return normalize(self.dense(flatten(features)))


@keras.saving.register_keras_serializable("keras_smskd")
class CRDDistiller(Distiller):
    """Contrastive Representation Distillation (CRD): teacher and student embed a sample alike, and others apart.

    Formula: with `e` the trained linear embedding of a feature, scaled to length 1, and `o(a, b) = exp(<a, b> /
    temperature) / Z`, per sample `-log(o(e, m_positive) / (o(e, m_positive) + q)) - sum over negatives log(q /
    (o(e, m_negative) + q))`, `q = negatives / samples`; once for the student's embedding against the teacher's memory
    and once the other way round, summed over the layers. A memory holds a row for every training sample, the moving
    average of its embedding. `Z` is estimated from the first batch, then frozen, as in the reference implementations;
    the paper has none. Both embeddings are trained with the student; no gradient flows into memories or `Z`.

    The negatives are drawn uniformly from the other samples. The published numbers come from negatives of other
    classes.

    Features of any rank, flattened; teacher and student may differ in size. The memories take `2 * samples * size`
    numbers. Several teachers share one memory, which each of them moves in turn; under `tf.distribute` the memories of
    the replicas are averaged after every step.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, usually the pooled features in front of the classifier.
        samples: Number of training samples, at least 2.
        negatives: Number of negatives for each sample, at least 1; drawn with replacement.
        temperature: Temperature of the similarities, above 0.
        momentum: Share of a memory's row that stays when its sample is seen, from 0 to 1.
        size: Size of the embeddings, at least 1.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a number is out of range; and as `Distiller` does. A batch with a sample whose index is not
            below `samples` has the loss NaN.

    Example:

    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, name="pool"), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="pool"), keras.layers.Dense(3)])
    >>> distiller = CRDDistiller(teacher, student, layers={"pool": "pool"}, samples=8, negatives=4)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)

    Source: Tian et al., "Contrastive Representation Distillation", arXiv:1910.10699.
    """

    kind = "relation"
    reads = "features"
    needs_index = True
    default_distillation_weight = 0.8

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        samples: int,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        size: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.samples = check_count("samples", samples, 2)
        self.negatives = check_count("negatives", negatives)
        self.temperature = check_positive("temperature", temperature)
        self.momentum = check_fraction("momentum", momentum)
        self.size = check_count("size", size)
        self.seed_generator = keras.random.SeedGenerator()
        self.embeddings = [[Embedding(shape, self.samples, self.size) for shape in pair] for pair in self.shape_pairs]

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        index = ops.cast(student[INDEX], "int32")
        known = ops.clip(index, 0, self.samples - 1)
        candidates = self.candidates(known)
        pairs = zip(self.embeddings, self.pairs(teacher, student), strict=True)
        loss = sum(self._contrast(embeddings, pair, known, candidates) for embeddings, pair in pairs)
        return ops.where(index == known, loss, float("nan"))

    def _contrast(self, embeddings: list[Embedding], pair: Any, index: Tensor, candidates: Tensor) -> Tensor:
        """The loss of a pair of features, which are remembered afterwards."""
        # Copies, since the memories change before the gradient is computed.
        teacher_memory, student_memory = (ops.copy(embedding.memory.value) for embedding in embeddings)
        teacher, student = (embed(features) for embed, features in zip(embeddings, pair, strict=True))
        scores = (
            scores_against(student_memory, teacher, candidates, self.temperature),
            scores_against(teacher_memory, student, candidates, self.temperature),
        )
        teacher_normalizer, student_normalizer = (
            normalizer_of(of_model, self.samples, embedding.normalizer.value)
            for embedding, of_model in zip(embeddings, scores, strict=True)
        )
        of_teacher, of_student = embeddings
        of_teacher.normalizer.assign(teacher_normalizer)
        of_student.normalizer.assign(student_normalizer)
        of_teacher.memory.assign(remembered(teacher_memory, teacher, index, self.momentum))
        of_student.memory.assign(remembered(student_memory, student, index, self.momentum))
        return crd_loss(*scores, teacher_normalizer, student_normalizer, self.samples)

    def candidates(self, index: Tensor) -> Tensor:
        """Every sample itself and its negatives, others drawn uniformly, `(batch, 1 + negatives)`."""
        shape = (ops.shape(index)[0], self.negatives)
        steps = keras.random.randint(shape, 1, self.samples, seed=self.seed_generator)
        index = index[:, None]
        return ops.concatenate([index, (index + steps) % self.samples], axis=-1)

    def _with_index(self, x: Any) -> Any:
        x = super()._with_index(x)
        count = len(x[INDEX]) if isinstance(x, dict) and INDEX in x else 0
        if count > self.samples:
            raise ValueError(
                f"`samples` must be at least the number of training samples. Received: samples={self.samples} and "
                f"{count} samples."
            )
        return x
