"""A distiller's configuration, from the arguments that its constructor keeps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

from keras_smskd import argument_names
from keras_smskd.base.tapped_model import TappedModel

# What the configuration holds in a form of its own.
MODELS = ("name", "teachers", "layers")
ROLES = ("teacher", "teachers", "student")
SHARED = ("teacher_weighting", "teacher_preprocessing")
"""What a distiller that is made of others has from them, besides the models."""

_numbered: ContextVar[bool] = ContextVar("whether configurations have the number of their distiller", default=False)


class KeptArguments(TappedModel):
    """Part of `Distiller`: its configuration is made of the keyword-only arguments of its constructors.

    Every distiller keeps what it was given under the argument's name, so no method writes a `get_config`.
    """

    decided: tuple[str, ...] = ()
    """Arguments of `Distiller` that the class gives itself, so that its users cannot."""

    def arguments(self) -> dict[str, Any]:
        """The keyword-only arguments of all constructors of the distiller, as kept; of a variable the number."""
        parameters = [
            each for constructor in reversed(_constructors(type(self))) for each in argument_names.named(constructor)
        ]
        names = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
        return {name: self._kept(name) for name in names if name not in (*MODELS, *self.decided)}

    def hyperparameters(self) -> dict[str, Any]:
        """Those of the `arguments` that are numbers, strings or booleans, or lists of such."""
        return {name: value for name, value in self.arguments().items() if _is_plain(value)}

    def get_config(self) -> dict[str, Any]:
        of_models: dict[str, Any] = {"name": self.name, "teacher": self.teacher, "student": self.student}
        if len(self.teachers) > 1:
            of_models["teachers"] = list(self.teachers)
            del of_models["teacher"]
        if self.layer_pairs:
            of_models["layers"] = dict(self.layer_pairs)
        return keras.saving.serialize_keras_object({**of_models, **self.arguments()})

    def config_without_models(self) -> dict[str, Any]:
        """Class and configuration without teachers and student, for those who hold several distillers of them."""
        serialized = keras.saving.serialize_keras_object(self)
        serialized.pop("compile_config", None)
        config = {name: value for name, value in serialized["config"].items() if name not in ROLES}
        number = {"shared_object_id": id(self)} if _numbered.get() else {}
        return {**serialized, "config": config, **number}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{name: deserialized(value) for name, value in config.items()})

    def _kept(self, name: str) -> Any:
        if not hasattr(self, name):
            raise NotImplementedError(
                f"{type(self).__name__} must keep the argument `{name}` of its constructor as an attribute of that "
                "name, or override `arguments()`."
            )
        value = getattr(self, name)
        return float(value.numpy()) if isinstance(value, keras.Variable) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str)


@contextmanager
def numbered_configs() -> Iterator[None]:
    """Gives every distiller a number by which Keras, while it loads a file, knows one that is there more than once."""
    token = _numbered.set(True)
    try:
        yield
    finally:
        _numbered.reset(token)


def with_models(serialized: dict[str, Any], models: dict[str, Any]) -> Any:
    """The distiller of a `config_without_models`, with the models of `ROLES`."""
    return keras.saving.deserialize_keras_object({**serialized, "config": {**serialized["config"], **models}})


def check_known(owner: type[KeptArguments], unknown: dict[str, Any]) -> None:
    """Refuses arguments that no constructor of a distiller takes."""
    argument_names.check_known(owner.__name__, unknown, _constructors(owner), without=owner.decided)


def check_undecided(owner: type[KeptArguments], given: dict[str, Any]) -> None:
    """Refuses arguments that the class gives itself."""
    check_known(owner, {name: value for name, value in given.items() if name in owner.decided})


def _constructors(owner: type[KeptArguments]) -> list[Callable[..., Any]]:
    """Those of the class and of the distillers that it is made of, its own first."""
    return [
        vars(each)["__init__"] for each in owner.__mro__ if issubclass(each, KeptArguments) and "__init__" in vars(each)
    ]


def models_of(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The models of a configuration by role, and the rest of it."""
    models = {role: deserialized(config[role]) for role in ROLES if role in config}
    return models, {name: value for name, value in config.items() if name not in ROLES}


def deserialized(value: Any) -> Any:
    """What a value of a configuration stands for; models may be in it as they are."""
    if isinstance(value, list):
        return [deserialized(item) for item in value]
    return value if isinstance(value, keras.Model) else keras.saving.deserialize_keras_object(value)
