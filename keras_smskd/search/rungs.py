"""Rungs: how a budget of epochs is divided among plans."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Rung:
    """Some plans that are trained for equally many epochs."""

    plans: int
    epochs: int


def divided(epochs: int, stages: int) -> list[int]:
    """The epochs of each stage; the first ones have one more where they do not divide evenly."""
    return [epochs // stages + (index < epochs % stages) for index in range(stages)]


def total(rungs: Sequence[Rung]) -> int:
    """The epochs of all trials."""
    return sum(rung.plans * rung.epochs for rung in rungs)


def rungs_of(epochs: int, budget: int, factor: int, *, min_epochs: int, plans: int) -> list[Rung]:
    """Divides a budget: the rungs that try the most plans, and of those that try as many the fewest.

    Args:
        epochs: Epochs of the last rung, at most `budget`. The rung before has a `factor`-th of them, rounded down.
        budget: The most that the epochs of all trials may add up to.
        factor: Each rung trains the best 1/factor of the plans of the rung before, rounded down.
        min_epochs: The fewest epochs of a rung, at most `epochs`.
        plans: How many plans there are.
    """
    lengths = [epochs]
    while lengths[0] // factor >= min_epochs:
        lengths.insert(0, lengths[0] // factor)
    possible = [_largest(lengths[first:], budget, factor, plans) for first in range(len(lengths))]
    return max(reversed(possible), key=lambda rungs: rungs[0].plans if rungs else 0)


def _largest(lengths: Sequence[int], budget: int, factor: int, plans: int) -> list[Rung]:
    """Rungs of such epochs that begin with as many plans as the budget and their number allow; none if none do."""
    for count in range(min(plans, budget // lengths[0]), factor ** (len(lengths) - 1) - 1, -1):
        rungs = [Rung(count // factor**index, length) for index, length in enumerate(lengths)]
        if total(rungs) <= budget:
            return rungs
    return []
