"""Arguments by their names: those that a function takes, and an error for those that it does not."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def named(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that a function or method takes by name."""
    parameters = inspect.signature(function).parameters.values()
    return [
        each for each in parameters if each.name != "self" and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]


def check_known(owner: str, unknown: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises if there are `unknown` arguments, with the nearest of those that are known."""
    for name, value in unknown.items():
        nearest = "".join(f"Did you mean `{near}`? " for near in difflib.get_close_matches(name, known, n=1))
        raise TypeError(
            f"{owner} has no argument `{name}`. Received: {name}={value!r}. {nearest}"
            f"Its arguments are {', '.join(known)}."
        )
