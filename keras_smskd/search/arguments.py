"""Checks of what a search is given, each with an error that says what was received and what would do."""

from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner

from keras_smskd import checks
from keras_smskd.arrays import are_arrays
from keras_smskd.sequential_distiller import SequentialDistiller

OF_THE_SEARCH = {
    "epochs": "the search divides its `budget`",
    "initial_epoch": "every trial begins with the first epoch",
    "seed": "it is an argument of `PlanSearch`",
    "backup_dir": "`directory` of `PlanSearch` keeps the trials",
    "backup_every": "whole trials are kept",
    "backup_best": "the value of the last epoch counts",
    "validation_freq": "the value of the last epoch counts, whichever that is",
}


def check_methods(methods: Any) -> dict[str, Any]:
    """Returns the methods, if they are functions by name."""
    if not isinstance(methods, Mapping) or not methods:
        raise TypeError(
            "`methods` must be a dict of names and functions `(teacher, student) -> distiller`. "
            f"Received: methods={methods!r}"
        )
    for name, method in methods.items():
        if not isinstance(name, str) or not name or set(name) & set(">+*"):
            raise ValueError(f"`methods` must have names without '>', '+' and '*'. Received: {name!r}")
        if not callable(method):
            raise TypeError(
                f"`methods[{name!r}]` must be a function `(teacher, student) -> distiller`, so that every trial has a "
                f"new student. Received: {method!r}"
            )
    return dict(methods)


def check_distinct(name: str, values: Any, check: Any) -> list[float]:
    """Returns the numbers to choose from, if there are some, each once."""
    numbers = [check(name, value) for value in checks.check_list(name, values)]
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"`{name}` must hold one number or more, each once. Received: {name}={values!r}")
    return numbers


def check_most(name: str, value: Any, most: int, name_of_most: str, smallest: int = 1) -> int:
    """Returns `value` if it is a whole number from `smallest` to that of another argument."""
    if checks.check_count(name, value, smallest) > most:
        raise ValueError(f"`{name}` must be at most {name_of_most}={most}. Received: {name}={value!r}")
    return int(value)


def check_objective(objective: Any) -> Any:
    """Returns the objective, if it is the name of a log of validation data, or one of KerasTuner."""
    name = objective.name if isinstance(objective, keras_tuner.Objective) else objective
    if not isinstance(name, str) or not name.startswith("val_"):
        raise ValueError(
            "`objective` must be a log of the validation data, such as 'val_accuracy', or a `keras_tuner.Objective` of "
            f"one: losses of different methods say nothing about each other. Received: objective={objective!r}"
        )
    return objective


def check_fit(arguments: dict[str, Any], resume: Any) -> None:
    """Raises if `fit` is given what is not for it to say, or no validation data."""
    for name, why in OF_THE_SEARCH.items():
        if name in arguments:
            raise TypeError(f"`{name}` is no argument of the `fit` of a search: {why}.")
    if not isinstance(resume, bool):
        raise ValueError(f"`resume` must be True or False. Received: resume={resume!r}")
    if arguments.get("validation_data") is None and not arguments.get("validation_split"):
        raise ValueError(
            "`validation_data` or `validation_split` must be given: the search compares plans by them, and the test "
            "data are not for choosing."
        )


def check_log(objective: str, sequence: SequentialDistiller, arguments: dict[str, Any]) -> None:
    """Raises if the training will not log the objective; batches from elsewhere than arrays show it in a trial."""
    data = arguments.get("validation_data")
    data = (arguments["x"], arguments["y"]) if data is None else data
    if not isinstance(data, list | tuple) or len(data) < 2 or not all(map(are_arrays, data)):
        return
    x, y = (keras.tree.map_structure(lambda array: array[:2], part) for part in data[:2])
    check_logged(objective, [f"val_{name}" for name in sequence.evaluate(x, y, verbose=0, return_dict=True)])


def check_logged(objective: str, names: Any) -> None:
    """Raises if the objective is not among the logs."""
    if objective not in names:
        raise ValueError(
            f"`objective` must be a log of the training, one of {sorted(names)}: compile the search with the metric. "
            f"Received: objective={objective!r}"
        )
