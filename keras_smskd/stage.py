"""Stage: one distiller, its epochs, its optimizer."""

from collections.abc import Sequence
from typing import Any, NoReturn

import keras

from keras_smskd.argument_names import check_known
from keras_smskd.base.arguments import with_models
from keras_smskd.checks import check_callbacks, check_count, check_optimizer, check_weight
from keras_smskd.distillers import Distiller


class Stage:
    """One stage of a sequence: the student is trained by one distiller for some epochs.

    Args:
        distiller: The distiller of the stage.
        epochs: Number of epochs, at least 1, unless `SequentialDistiller.fit` is given others. Default: 1.
        optimizer: The stage's own optimizer. Default: a fresh copy of the one that the sequence is compiled with.
        reference_weight: The stage's own weight of the reference loss, at least 0; of no effect where there is no
            reference: in the first stage that trains the student, and in those that do not. Default: that of the
            sequence.
        callbacks: Callbacks of this stage alone, such as `AdaptiveReferenceWeight`.
        name: Name of the stage. Default: the method's, such as `"FitNet"`.

    Raises:
        TypeError: If `distiller` is no `Distiller`, or an argument is unknown.
        ValueError: If `epochs` or `reference_weight` is out of range.

    Example:

    >>> from keras_smskd import KDDistiller
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> Stage(KDDistiller(teacher, student), epochs=30).name
    'KD'
    """

    def __init__(
        self,
        distiller: Distiller,
        epochs: int | None = None,
        *,
        optimizer: Any = None,
        reference_weight: float | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        check_known("Stage", unknown, [Stage.__init__])
        if not isinstance(distiller, Distiller):
            raise TypeError(f"`distiller` must be a `Distiller`. Received: {distiller!r} (of type {type(distiller)})")
        self.distiller = distiller
        self.epochs = None if epochs is None else check_count("epochs", epochs)
        self.optimizer = None if optimizer is None else check_optimizer(optimizer)
        self.reference_weight = None if reference_weight is None else check_weight("reference_weight", reference_weight)
        self.callbacks = check_callbacks(callbacks)
        if not isinstance(name, str | None):
            raise TypeError(f"`name` must be a string. Received: name={name!r}")
        self.name = name or distiller.method

    def get_config(self) -> dict[str, Any]:
        """The configuration, without callbacks, teachers and student."""
        names = ("epochs", "optimizer", "reference_weight", "name")
        config = keras.saving.serialize_keras_object({name: getattr(self, name) for name in names})
        return {**config, "distiller": self.distiller.config_without_models()}

    @classmethod
    def from_config(cls, config: dict[str, Any], models: dict[str, Any]) -> "Stage":
        """The stage of a configuration, for teachers and student."""
        rest = {name: value for name, value in config.items() if name != "distiller"}
        return cls(with_models(config["distiller"], models), **keras.saving.deserialize_keras_object(rest))

    def fresh_optimizer(self, default: Any) -> keras.optimizers.Optimizer:
        """A new optimizer from the configuration of the stage's own, or of the sequence's; neither is touched."""
        return _fresh(check_optimizer(default if self.optimizer is None else self.optimizer))


def _fresh(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """A new optimizer of the same configuration, and of what `exclude_from_weight_decay` was told, which is in none."""
    fresh = type(optimizer).from_config(optimizer.get_config())
    old, new = (getattr(each, "inner_optimizer", each) for each in (optimizer, fresh))  # That of a loss scale decays.
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
        if hasattr(old, name):
            setattr(new, name, getattr(old, name))
    return fresh
