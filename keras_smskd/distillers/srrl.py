"""SRRL: softmax regression representation learning."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_smskd.base.distiller import Model
from keras_smskd.base.projected import ProjectedDistiller, Projector
from keras_smskd.checks import check_weight
from keras_smskd.features import LOGITS, Features, find_layer, without_gradients
from keras_smskd.model_checks import check_one_teacher
from keras_smskd.ops import spatial_axes
from keras_smskd.projectors import Shape, connector

Tensor = Any


def srrl_loss(
    teacher: Tensor,
    student: Tensor,
    teacher_logits: Tensor,
    student_logits: Tensor,
    feature_weight: float = 1.0,
    regression_weight: float = 1.0,
) -> Tensor:
    """Difference of averaged features and of the teacher's classifier on them, `(batch,)`; see `SRRLDistiller`."""
    features = ops.mean(ops.square(averaged(student) - averaged(teacher)), axis=-1)
    regression = ops.mean(ops.square(student_logits - teacher_logits), axis=-1)
    return feature_weight * features + regression_weight * regression


def averaged(features: Tensor) -> Tensor:
    """Feature maps averaged over their positions; vectors as they are."""
    return ops.mean(features, axis=spatial_axes()) if len(features.shape) == 4 else features


@keras.saving.register_keras_serializable("keras_smskd")
def rectified_connector(teacher_shape: Shape, student_shape: Shape) -> keras.Sequential:
    """Builds the published connector: a 1x1 convolution without bias, batch normalisation, ReLU.

    Example:

    >>> rectified_connector((8, 8, 64), (8, 8, 32)).output_shape
    (None, 8, 8, 64)
    """
    return connector(teacher_shape, student_shape, activation="relu")


@keras.saving.register_keras_serializable("keras_smskd")
class SRRLDistiller(ProjectedDistiller):
    """Softmax Regression Representation Learning (SRRL): the teacher's classifier is to work on the student's features.

    Formula: with the student's features brought to the teacher's width by a connector and both averaged over their
    positions, per sample `feature_weight * mean((student - teacher)^2) + regression_weight * mean((classifier(student)
    - teacher_logits)^2)`, where `classifier` is the teacher's own last layer, which stays as it is.

    Feature maps `(batch, height, width, channels)` of any sizes and widths, of which the larger one is average-pooled
    first, or vectors `(batch, width)`. The connector, a 1x1 convolution, batch normalisation and ReLU, is trained with
    the student and is no part of it. Its ReLU fits features taken after one.

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, one entry: the features in front of the classifiers, before or
            after their global average pooling.
        classifier: Layer of the teacher that makes its logits of its averaged features.
        projector: Makes the connector from the shapes of a pair.
        feature_weight: Weight of the difference of the features, at least 0.
        regression_weight: Weight of the difference of the logits, at least 0.
        **kwargs: Further arguments of `Distiller`.

    Raises:
        ValueError: If `classifier` on the teacher's averaged features does not give the teacher's logits, if a weight
            is negative, or if there are several teachers; and as `Distiller` does.

    Example:

    >>> def model(width):
    ...     return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(width, 3, name="maps"),
    ...                              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, name="head")])
    >>> distiller = SRRLDistiller(model(8), model(2), layers={"maps": "maps"}, classifier="head")
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 8, 8, 1)), np.zeros(8), verbose=0)

    Source: Yang et al., "Knowledge distillation via softmax regression representation learning", ICLR 2021.
    """

    reads = "levels"

    def __init__(
        self,
        teacher: Model = None,
        student: Model = None,
        *,
        classifier: str,
        projector: Projector | None = rectified_connector,
        feature_weight: float = 1.0,
        regression_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(teacher, student, projector=projector, **kwargs)
        check_one_teacher(self)
        self.classifier = classifier
        self.feature_weight = check_weight("feature_weight", feature_weight)
        self.regression_weight = check_weight("regression_weight", regression_weight)
        self._check_classifier()

    def _check_classifier(self) -> None:
        """Raises unless the classifier makes the teacher's logits of the layers that are matched."""
        find_layer(self.teacher, self.classifier, "teacher", "classifier")
        pairs = self.pairs(self._teachers.example, self._student_features.example)
        if not all(self._makes_logits_of(hint) for hint, _ in pairs):
            raise ValueError(
                "`classifier` must name the layer of the teacher that makes its logits of the averaged features of "
                f"`layers`. Received: classifier={self.classifier!r}, layers={self.layer_pairs}"
            )

    def _makes_logits_of(self, hint: Tensor) -> bool:
        """Whether the classifier makes the teacher's logits of its features, which may be too wide for it."""
        expected = self._teachers.example[LOGITS]
        try:
            logits = ops.convert_to_numpy(self._classified(hint))
        except ValueError:
            return False
        return logits.shape == expected.shape and np.allclose(logits, expected, rtol=0.05, atol=0.05, equal_nan=True)

    def _classified(self, features: Tensor) -> Tensor:
        """What the teacher's classifier makes of features of the teacher's width, as the teacher would."""
        classifier = find_layer(self.teacher, self.classifier, "teacher", "classifier")
        with without_gradients(classifier):
            return ops.cast(classifier(averaged(features), training=False), features.dtype)

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        return sum(
            srrl_loss(
                hint,
                feature,
                teacher[LOGITS],
                self._classified(feature),
                self.feature_weight,
                self.regression_weight,
            )
            for (hint, _), (_, feature) in zip(
                self.pairs(teacher, student), self.projected(teacher, student), strict=True
            )
        )
