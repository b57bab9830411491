"""The plans that there are: single methods, and what is composed of them. Some are drawn at random."""

import dataclasses
import itertools
import random
import sys
from collections.abc import Iterable, Sequence

from keras_smskd.search.plans import Plan, Term


@dataclasses.dataclass(frozen=True)
class Limits:
    """What may be composed.

    Attributes:
        max_stages: The largest number of stages.
        max_joint: The largest number of methods in one stage.
        reference_weights: Weights of the reference loss to choose from.
        leading: So many of the best methods lead: every stage has at least one of them. In a joint stage a weak method
            adds to a good one; two weak ones do not make a good one.
    """

    max_stages: int
    max_joint: int
    reference_weights: Sequence[float]
    leading: int = 2


def singles_of(methods: Sequence[str], weights: Sequence[float], seed: int) -> list[Plan]:
    """All plans of one method, in random order: each method with one of the weights before any with a second one."""
    generator = random.Random(seed)
    of_methods = [
        [Plan(((Term(method, weight),),)) for weight in generator.sample(weights, len(weights))]
        for method in generator.sample(methods, len(methods))
    ]
    return _in_turn(of_methods)


def best_terms(plans: Iterable[Plan]) -> list[Term]:
    """The methods of plans of one method, in their order, each with the factor of the first plan that has it."""
    best: dict[str, Term] = {}
    for plan in plans:
        ((term,),) = plan.stages
        best.setdefault(term.method, term)
    return list(best.values())


class Space:
    """All plans composed of some methods: one that leads in every stage, none twice in it; no stage twice in a row.

    Args:
        terms: The methods, with their factors, best first.
        limits: How they may be composed.
    """

    def __init__(self, terms: Sequence[Term], limits: Limits) -> None:
        sizes = range(2, limits.max_joint + 1)
        leading = terms[: limits.leading]
        combined = (stage for size in sizes for stage in itertools.combinations(terms, size))
        self.joint = [stage for stage in combined if stage[0] in leading]  # Which has its best method first.
        self.stages = [*((term,) for term in leading), *self.joint]
        self.numbers_of_stages = range(1, limits.max_stages + 1)
        self.reference_weights = limits.reference_weights

    def count(self, stages: int) -> int:
        """The number of plans of so many stages: of one stage only the joint ones, the others are not composed."""
        if stages == 1:
            return len(self.joint)
        return len(self.stages) * (len(self.stages) - 1) ** (stages - 1) * len(self.reference_weights)

    @property
    def size(self) -> int:
        """The number of all plans."""
        return sum(map(self.count, self.numbers_of_stages))

    def plan(self, stages: int, number: int) -> Plan:
        """One of the plans of so many stages."""
        if stages == 1:
            return Plan((self.joint[number],))
        number, reference = divmod(number, len(self.reference_weights))
        number, index = divmod(number, len(self.stages))
        order = [index]
        for _ in range(stages - 1):
            number, index = divmod(number, len(self.stages) - 1)
            order.append(index + (index >= order[-1]))  # Chosen among those that are not the one before.
        return Plan(tuple(self.stages[index] for index in order), self.reference_weights[reference])

    def draw(self, count: int, seed: int) -> list[Plan]:
        """Different plans at random, of every number of stages as many, as far as there are so many."""
        return _in_turn([self._drawn(stages, count, seed) for stages in self.numbers_of_stages])[:count]

    def _drawn(self, stages: int, count: int, seed: int) -> list[Plan]:
        numbers = range(min(self.count(stages), sys.maxsize))  # A longer range has no length.
        chosen = random.Random(seed).sample(numbers, min(count, len(numbers)))
        return [self.plan(stages, number) for number in chosen]


def _in_turn(lists: Sequence[Sequence[Plan]]) -> list[Plan]:
    """The first of each list, then the second of each, and so on."""
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*lists))
    return [plan for plan in in_turn if plan is not None]
