"""Bases of methods that have an initial phase: the stage before, and their own."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.base.arguments import ROLES, SHARED, check_undecided, models_of, with_models
from keras_smskd.base.distiller import Distiller


class PreparedDistiller(Distiller):
    """Base of methods some of whose layers are `prepared` in the stage before, and are not trained in their own."""

    prepared: Sequence[keras.Layer] = ()

    @property
    def trainable_variables(self) -> list[Any]:
        prepared = {id(variable) for layer in self.prepared for variable in layer.variables}
        return [variable for variable in super().trainable_variables if id(variable) not in prepared]


class PreparingDistiller(Distiller):
    """Base of the stages before: only what a distiller has `prepared` is trained. The student is read, if at all.

    Args:
        distiller: The distiller of the stage after.
        **kwargs: Further arguments of `Distiller`, all but `layers` and those of the models.
    """

    trains_student = False
    default_label_weight = 0.0
    decided = (*ROLES, *SHARED, "layers")

    def __init__(self, distiller: PreparedDistiller, **kwargs: Any) -> None:
        check_undecided(type(self), kwargs)
        shared = {name: getattr(distiller, name) for name in SHARED}
        models = {"teachers": list(distiller.teachers), "student": distiller.student}
        super().__init__(**models, layers=distiller.layer_pairs, **shared, **kwargs)
        self.prepared = distiller.prepared
        self._config_after = distiller.config_without_models  # Keras would track the distiller itself.

    @property
    def trainable_variables(self) -> list[Any]:
        return [variable for layer in self.prepared for variable in layer.trainable_variables]

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The student in inference mode: its batch statistics do not move."""
        return super().call(x, training=False)

    def get_config(self) -> dict[str, Any]:
        config = {name: value for name, value in super().get_config().items() if name != "layers"}
        return {**config, "distiller": self._config_after()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        models, rest = models_of(config)
        return cls(with_models(rest.pop("distiller"), models), **rest)
