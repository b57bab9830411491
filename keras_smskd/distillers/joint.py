"""Joint: several methods in one stage."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.base.arguments import ROLES, SHARED, check_undecided, models_of, with_models
from keras_smskd.base.distiller import Distiller
from keras_smskd.checks import check_list, check_weight
from keras_smskd.features import Features
from keras_smskd.model_checks import check_distillers, check_same

Tensor = Any


# What is the joint distiller's own, or in its `weights`.
OF_JOINT = (*SHARED, "label_weight", "distillation_weight")


@keras.saving.register_keras_serializable("keras_smskd")
class JointDistiller(Distiller):
    """Joint distillation: several methods at once, their weighted losses summed over one pass of each model.

    Formula: `sum_k weights_k * distillation_loss_k`, the label loss once. It is what a sequence of stages is compared
    with.

    Args:
        distillers: Distillers of the same teacher and student, one or more.
        weights: Weight of each method, at least 0, set as the `distillation_weight` of its distiller, where it may be
            changed at any time. Default: those that the distillers have.
        **kwargs: Further arguments of `Distiller`, all but those of the models; `label_weight` is the weight of the
            label loss (those of the single distillers do not count), `distillation_weight` that of the whole sum.

    Raises:
        ValueError: If there is no distiller, the distillers differ in teachers, student, preprocessing or views, or a
            weight is missing or negative.

    Example:

    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, name="pool"), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="pool"), keras.layers.Dense(3)])
    >>> from keras_smskd import KDDistiller, SPDistiller
    >>> distillers = [KDDistiller(teacher, student), SPDistiller(teacher, student, layers={"pool": "pool"})]
    >>> distiller = JointDistiller(distillers, weights=[1.0, 3000.0])
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)
    """

    decided = (*ROLES, *SHARED, "layers")

    def __init__(
        self, distillers: Sequence[Distiller], *, weights: Sequence[float] | None = None, **kwargs: Any
    ) -> None:
        check_distillers("distillers", distillers)
        self.distillers = list(distillers)
        self.distillation_terms = numbered([distiller.method for distiller in distillers])
        if weights is not None:
            _set_weights(distillers, weights)
        self.smallest_batch = max(distiller.smallest_batch for distiller in distillers)
        limits = [distiller.largest_batch for distiller in distillers if distiller.largest_batch is not None]
        self.largest_batch = min(limits, default=None)
        self.needs_index = any(distiller.needs_index for distiller in distillers)
        self.trains_student = any(distiller.trains_student for distiller in distillers)
        self.views = _shared_views(distillers)
        check_undecided(type(self), kwargs)
        shared = {name: check_same(distillers, name) for name in SHARED}
        super().__init__(teachers=distillers[0].teachers, student=distillers[0].student, **shared, **kwargs)
        self._tap([pair for distiller in distillers for pair in distiller.matched_layers])

    @property
    def method(self) -> str:
        return "+".join(distiller.method for distiller in self.distillers)

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        for distiller in self.distillers:
            distiller.begin_epoch(epoch)

    def _freeze(self) -> None:
        super()._freeze()
        for distiller in self.distillers:
            self._frozen |= distiller._frozen  # One may have had a reference in a stage of its own.

    def distillation_loss(self, teacher: Features, student: Features, y: Tensor) -> Tensor:
        return sum(self.separate_losses(teacher, student, y).values())

    def separate_losses(self, teacher: Features, student: Features, y: Tensor) -> dict[str, Tensor]:
        return {
            term: distiller.distillation_weight * distiller.warmup() * distiller.distillation_loss(teacher, student, y)
            for term, distiller in zip(self.distillation_terms, self.distillers, strict=True)
        }

    @property
    def trainable_variables(self) -> list[Any]:
        """What the single distillers train: some keep a part of theirs fixed."""
        trained = {id(variable) for distiller in self.distillers for variable in distiller.trainable_variables}
        return [variable for variable in super().trainable_variables if id(variable) in trained]

    def _with_index(self, x: Any) -> Any:
        x = super()._with_index(x)
        for distiller in self.distillers:
            distiller._with_index(x)  # Which checks the index that it is given.
        return x

    def augment(self, x: Any) -> Any:
        return next(distiller for distiller in self.distillers if distiller.views > 1).augment(x)

    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "weights": _weights_of(self.distillers)}

    def hyperparameters(self) -> dict[str, Any]:
        """Its own, and those of the methods under their names, but for those that do not count."""
        own = super().hyperparameters()
        for term, distiller in zip(self.distillation_terms, self.distillers, strict=True):
            of_method = distiller.hyperparameters()
            own |= {f"{term}_{name}": value for name, value in of_method.items() if name not in OF_JOINT}
        return own

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "distillers": [each.config_without_models() for each in self.distillers]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "JointDistiller":
        models, rest = models_of(config)
        return cls([with_models(item, models) for item in rest.pop("distillers")], **rest)


def numbered(names: Sequence[str]) -> list[str]:
    """The names, made distinct by a number behind those that have come before.

    Example:

    >>> numbered(["KD", "SP", "KD"])
    ['KD', 'SP', 'KD_2']
    """
    counts = [names[:index].count(name) + 1 for index, name in enumerate(names)]
    return [name if count == 1 else f"{name}_{count}" for name, count in zip(names, counts, strict=True)]


def _set_weights(distillers: Sequence[Distiller], weights: Sequence[float]) -> None:
    if len(check_list("weights", weights)) != len(distillers):
        raise ValueError(
            f"`weights` must hold one number for each of the {len(distillers)} distillers. "
            f"Received: weights={weights!r}"
        )
    for distiller, weight in zip(distillers, [check_weight("weights", weight) for weight in weights], strict=True):
        distiller.distillation_weight = weight


def _weights_of(distillers: Sequence[Distiller]) -> list[float]:
    return [float(distiller.distillation_weight.numpy()) for distiller in distillers]


def _shared_views(distillers: Sequence[Distiller]) -> int:
    """The number of views that the methods with more than one have in common, made in one way."""
    several = [distiller for distiller in distillers if distiller.views > 1]
    if len({(distiller.views, type(distiller).augment) for distiller in several}) > 1:
        raise ValueError(
            "`distillers` must share one way to make views. Received: "
            f"{', '.join(f'{distiller.method} with {distiller.views} views' for distiller in several)}."
        )
    return several[0].views if several else 1
