"""Arguments by their names: those that a function takes, and an error for those that it does not."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def named(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that a function or method takes by name."""
    parameters = inspect.signature(function).parameters.values()
    return [
        each for each in parameters if each.name != "self" and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]


def check_known(
    owner: str, unknown: Mapping[str, Any], functions: Iterable[Callable[..., Any]], without: Sequence[str] = ()
) -> None:
    """Raises if there are `unknown` arguments, with the nearest of those that the functions take."""
    if not unknown:
        return
    name, value = next(iter(unknown.items()))
    taken = dict.fromkeys(parameter.name for function in functions for parameter in named(function))
    known = [each for each in taken if each not in without]
    nearest = "".join(f"Did you mean `{near}`? " for near in difflib.get_close_matches(name, known, n=1))
    raise TypeError(
        f"{owner} has no argument `{name}`. Received: {name}={value!r}. {nearest}Its arguments are {', '.join(known)}."
    )
