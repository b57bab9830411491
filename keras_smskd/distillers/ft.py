"""FT: factor transfer."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from keras_smskd.base.distiller import Model
from keras_smskd.base.prepared import PreparedDistiller, PreparingDistiller
from keras_smskd.checks import check_count, check_fraction, check_positive
from keras_smskd.features import Features, precision
from keras_smskd.ops import attention, channel_axis, channels_of, flatten, match_sizes, mean_square, normalize
from keras_smskd.projectors import EPSILON, Shape

Tensor = Any

# Slope of the leaky ReLU of paraphraser and translator.
SLOPE = 0.1


def ft_loss(teacher: Tensor, student: Tensor, power: int | None = 2, norm: float = 1) -> Tensor:
    """Difference of two factors, `(batch,)`; see `FTDistiller`."""
    teacher, student = match_sizes(teacher, student)
    if power is not None:
        difference = ops.abs(attention(student, power) - attention(teacher, power))
        return ops.mean(ops.power(difference, norm), axis=-1)
    difference = ops.abs(normalize(flatten(student)) - normalize(flatten(teacher)))
    return ops.mean(difference, axis=-1) if norm == 1 else _length(difference, norm)


def _length(x: Tensor, norm: float) -> Tensor:
    """The length of vectors of no negative entry, with gradient 0 at the zero vector."""
    total = ops.sum(ops.power(x, norm), axis=-1)
    positive = total > 0
    return ops.where(positive, ops.power(ops.where(positive, total, 1.0), 1.0 / norm), 0.0)


def encoder(shape: Shape, factors: int, batch_normalization: bool) -> keras.Sequential:
    """Convolutions from a feature map of this shape to a factor, a map of `factors` channels."""
    return _convolutions(layers.Conv2D, shape, (channels_of(shape), factors, factors), batch_normalization)


def paraphraser(shape: Shape, factors: int) -> keras.Sequential:
    """An autoencoder of feature maps of this shape, of two layers: the encoder to a factor, and a decoder."""
    channels = channels_of(shape)
    encode = encoder(shape, factors, batch_normalization=False)
    decode = _convolutions(layers.Conv2DTranspose, encode.output_shape[1:], (factors, channels, channels), False)
    return keras.Sequential([keras.Input(shape), encode, decode], name="paraphraser")


def _convolutions(kind: Any, shape: Shape, widths: Sequence[int], batch_normalization: bool) -> keras.Sequential:
    model = keras.Sequential([keras.Input(shape)])
    for width in widths:
        model.add(kind(width, 3, padding="same"))
        if batch_normalization:
            model.add(layers.BatchNormalization(axis=channel_axis(), epsilon=EPSILON))
        model.add(layers.LeakyReLU(negative_slope=SLOPE))
    return model


@keras.saving.register_keras_serializable("keras_smskd")
class ParaphraserDistiller(PreparingDistiller):
    """The stage before `FTDistiller`: paraphrasers learn to reconstruct the teacher's maps. The student is untouched.

    Formula: `mean((paraphraser(teacher) - teacher)^2)` over the entries of a map, per sample, summed over the layers.

    Args:
        distiller: The `FTDistiller` of the stage after, whose paraphrasers are trained; see its `initial`.
        **kwargs: Further arguments of `Distiller`, all but `layers` and those of the models.
    """

    kind = "feature"
    reads = "maps"

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        pairs = zip(self.prepared, self.pairs(teacher, student), strict=True)
        differences = [ops.cast(paraphrase(hint, training=True), hint.dtype) - hint for paraphrase, (hint, _) in pairs]
        return sum(mean_square(difference) for difference in differences)


@keras.saving.register_keras_serializable("keras_smskd")
class FTDistiller(PreparedDistiller):
    """Factor Transfer (FT): the student's factor, translated from its map, matches the paraphrase of the teacher's.

    Formula: a paraphraser encodes the teacher's map, a translator the student's, both to a factor of `rate` times the
    teacher's channels. With `q` the mean over channels of `factor^power`, flattened and scaled to length 1, per sample
    `mean(|q_student - q_teacher|^norm)` over the positions, summed over the layers: the loss of the published benchmark
    numbers. The paper's is `power=None`: the `norm`-norm of the difference of the whole factors, flattened and scaled
    to length 1; as in torchdistill the mean of its entries for `norm=1`.

    Feature maps `(batch, height, width, channels)` of any sizes and widths: the larger factor is average-pooled.

    The paraphrasers are trained in the stage before, `initial()`, and fixed in this one. Without that stage they are
    random.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, layers that output feature maps.
        rate: Channels of a factor as a share of the teacher's, above 0 and at most 1.
        power: Exponent of the factors, a whole number of at least 1; None compares whole factors.
        norm: Exponent of the difference, at least 1.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If a number is out of range; and as `Distiller` does.

    Example:

    >>> def model(width):
    ...     convolution = keras.layers.Conv2D(width, 3, name="maps")
    ...     pool = keras.layers.GlobalAveragePooling2D()
    ...     return keras.Sequential([keras.Input((8, 8, 1)), convolution, pool, keras.layers.Dense(3)])
    >>> distiller = FTDistiller(model(16), model(4), layers={"maps": "maps"})
    >>> paraphrase = distiller.initial()
    >>> paraphrase.compile("sgd")
    >>> history = paraphrase.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)

    Source: Kim et al., "Paraphrasing Complex Network: Network Compression via Factor Transfer", arXiv:1802.04977.
    """

    kind = "feature"
    reads = "maps"
    default_distillation_weight = 200.0

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        rate: float = 0.5,
        power: int | None = 2,
        norm: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, **kwargs)
        self.rate = check_positive("rate", check_fraction("rate", rate))
        self.power = None if power is None else check_count("power", power)
        self.norm = check_positive("norm", norm)
        if norm < 1:
            raise ValueError(f"`norm` must be at least 1. Received: norm={norm!r}")
        shapes = [(hint, feature, max(1, int(rate * channels_of(hint)))) for hint, feature in self.shape_pairs]
        self.paraphrasers = self.prepared = [paraphraser(hint, factors) for hint, _, factors in shapes]
        self.translators = [encoder(feature, factors, batch_normalization=True) for _, feature, factors in shapes]

    def initial(self, **kwargs: Any) -> ParaphraserDistiller:
        """The stage before, which trains the paraphrasers of this distiller.

        Args:
            **kwargs: Its own arguments of `Distiller`, such as `name`.
        """
        return ParaphraserDistiller(self, **kwargs)

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        coders = zip(self.paraphrasers, self.translators, self.pairs(teacher, student), strict=True)
        factors = [
            (ops.stop_gradient(paraphrase.layers[0](hint, training=False)), translate(feature, training=True))
            for paraphrase, translate, (hint, feature) in coders
        ]
        precise = [[ops.cast(factor, precision()) for factor in pair] for pair in factors]
        return sum(ft_loss(teacher, student, self.power, self.norm) for teacher, student in precise)
