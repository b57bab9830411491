"""PKD: patient knowledge distillation."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_smskd.base.projected import ProjectedDistiller
from keras_smskd.base.tapped_model import Pairs
from keras_smskd.features import Features
from keras_smskd.ops import normalize

Tensor = Any


def pkd_loss(teacher: Tensor, student: Tensor) -> Tensor:
    """Squared distance of the states of the first token, scaled to length 1, `(batch,)`; see `PKDDistiller`."""
    return ops.sum(ops.square(normalize(_state(student)) - normalize(_state(teacher))), axis=-1)


def _state(features: Tensor) -> Tensor:
    """The first token of a sequence; a vector as it is."""
    if len(features.shape) > 3:
        raise ValueError(
            "`layers` of PKD must name token sequences with the class token in front, or vectors. Received: features "
            f"of shape {tuple(features.shape)}."
        )
    return features[:, 0] if len(features.shape) == 3 else features


@keras.saving.register_keras_serializable("keras_smskd")
class PKDDistiller(ProjectedDistiller):
    """Patient Knowledge Distillation (PKD): the class token is to pass through the teacher's states, layer by layer.

    Formula: with `u` the state of the first token, scaled to length 1, per sample `|u_student - u_teacher|^2`, summed
    over the layers. The paper pairs the student's layers with every second one of the teacher's (skip) or with its
    last ones (last): that is for `layers` to say, without the last layer, which the logits teach.

    Sequences `(batch, length, size)`, of which only the first token is read, so that the lengths may differ and no
    mask is needed; vectors `(batch, size)` as they are. A dense projector, trained with the student and no part of it,
    where the sizes differ (in the paper they do not).

    Args:
        teacher: The model to learn from.
        student: The model to train.
        layers: Dict of `{teacher_layer: student_layer}`, layers that output sequences with the class token in front,
            or its state.
        projector: Makes the projector from the sizes of a pair, `(teacher_shape, student_shape) -> keras.Layer`, both
            shapes of one axis; None for none, where the sizes are equal.
        **kwargs: Further arguments of `Distiller`; the paper tries a `distillation_weight` from 10 to 1000.

    Raises:
        ValueError: If features are no sequences or vectors, or a projector does not give the teacher's size; and as
            `Distiller` does.

    Example:

    >>> def model(size):
    ...     return keras.Sequential([keras.Input((6,)), keras.layers.Embedding(9, size, name="states"),
    ...                              keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3)])
    >>> distiller = PKDDistiller(model(8), model(4), layers={"states": "states"})
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 6)), np.zeros(8), verbose=0)

    Source: Sun et al., "Patient Knowledge Distillation for BERT Model Compression", arXiv:1908.09355.
    """

    reads = "features"

    def pairs(self, teacher: Mapping[str, Any], student: Mapping[str, Any]) -> Pairs:
        """The matched states of the first token."""
        return [(_state(hint), _state(feature)) for hint, feature in super().pairs(teacher, student)]

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        return sum(pkd_loss(*pair) for pair in self.projected(teacher, student))
