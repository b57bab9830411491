"""The parts of a search: single methods first, then plans that the best of them lead."""

import functools
from collections.abc import Sequence

from keras_smskd.search.halving import Part
from keras_smskd.search.plans import Plan
from keras_smskd.search.rungs import rungs_of, total
from keras_smskd.search.space import Limits, Space, best_terms, singles_of

FEWEST = 4
"""Of the longest trials, so many must fit into a budget for both parts: the first has half of it, and two methods."""


def parts_of(
    methods: Sequence[str],
    weights: Sequence[float],
    limits: Limits,
    *,
    epochs: int,
    budget: int,
    factor: int,
    min_epochs: int,
    seed: int,
) -> list[Part]:
    """Divides a budget. Single methods have all of it if nothing can be composed of them, and else at most half of it.

    Args:
        methods: Names of the methods.
        weights: Factors of a distillation weight to choose from.
        limits: Of what is composed.
        epochs: Epochs of the longest trials.
        budget: The most that the epochs of all trials may add up to.
        factor: Of the halving of each part.
        min_epochs: The fewest epochs of a trial; those of the second part have at least one for each stage.
        seed: Of what is drawn.
    """

    def composed_of(plans: Sequence[Plan]) -> Space:
        return Space(best_terms(plans), limits)

    singles = singles_of(methods, weights, seed)
    composes = composed_of(singles).size > 0
    if composes:
        check_budget(budget, epochs)
    divide = functools.partial(rungs_of, epochs, factor=factor)
    rungs = divide(budget // 2 if composes else budget, min_epochs=min_epochs, plans=len(singles))
    tried = singles[: rungs[0].plans]
    first = Part("single methods", lambda best: tried, rungs)
    if not composes:
        return [first]
    fewest = max(min_epochs, limits.max_stages)
    rest = divide(budget - total(rungs), min_epochs=fewest, plans=composed_of(tried).size)
    return [first, Part("led by the best", lambda best: composed_of(best).draw(rest[0].plans, seed), rest)]


def check_budget(budget: int, epochs: int) -> None:
    """Raises if a budget does not suffice for both parts."""
    if budget < FEWEST * epochs:
        raise ValueError(
            f"`budget` must be at least {FEWEST} times epochs={epochs}, so that plans can be composed of methods that "
            "were tried; with `max_stages=1, max_joint=1`, which tries single methods alone, at least epochs. "
            f"Received: budget={budget!r}"
        )
