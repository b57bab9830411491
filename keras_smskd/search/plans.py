"""Plans: methods in order with their weights, numbered so that some of them can be drawn."""

import dataclasses
import itertools
import random
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is tried.

    Attributes:
        methods: The method of each stage, by name.
        weights: For each stage the factor of its distillation weight.
        reference_weight: Weight of the reference loss; 0 for a single stage, which has none.
    """

    methods: tuple[str, ...]
    weights: tuple[float, ...]
    reference_weight: float

    @property
    def text(self) -> str:
        """The methods as people read them, such as `"FitNet > KD"`."""
        return " > ".join(self.methods)

    @property
    def text_of_weights(self) -> str:
        """The factors as people read them."""
        return ", ".join(f"{weight:g}" for weight in self.weights)


class Space:
    """All plans of up to some number of stages, no method twice in a row.

    Args:
        methods: Names of the methods.
        max_stages: The largest number of stages.
        weights: Factors of a distillation weight to choose from.
        reference_weights: Weights of the reference loss to choose from.
    """

    def __init__(
        self, methods: Sequence[str], max_stages: int, weights: Sequence[float], reference_weights: Sequence[float]
    ) -> None:
        self.methods = methods
        self.max_stages = max_stages
        self.weights = weights
        self.reference_weights = reference_weights

    def _choices(self, stages: int) -> list[int]:
        """Among how many each choice of a plan is: first method, further ones, weights, reference weight."""
        others = [len(self.methods) - 1] * (stages - 1)
        references = 1 if stages == 1 else len(self.reference_weights)
        return [len(self.methods), *others, *[len(self.weights)] * stages, references]

    def count(self, stages: int) -> int:
        """The number of plans of so many stages."""
        product = 1
        for choices in self._choices(stages):
            product *= choices
        return product

    @property
    def size(self) -> int:
        """The number of all plans."""
        return sum(self.count(stages) for stages in range(1, self.max_stages + 1))

    def plan(self, stages: int, number: int) -> Plan:
        """One of the plans of so many stages."""
        chosen = []
        for choices in self._choices(stages):
            number, choice = divmod(number, choices)
            chosen.append(choice)
        *weights, reference = chosen[stages:]
        reference_weight = self.reference_weights[reference] if stages > 1 else 0.0
        return Plan(self._in_order(chosen[:stages]), tuple(self.weights[index] for index in weights), reference_weight)

    def _in_order(self, choices: Sequence[int]) -> tuple[str, ...]:
        """Methods of which each is chosen among those that are not the one before."""
        order = [choices[0]]
        for choice in choices[1:]:
            order.append(choice + (choice >= order[-1]))
        return tuple(self.methods[index] for index in order)

    def draw(self, count: int, seed: int) -> list[Plan]:
        """Different plans at random, of every number of stages as many, as far as there are so many."""
        drawn = [self._drawn(stages, count, seed) for stages in range(1, self.max_stages + 1)]
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(*drawn))
        return [plan for plan in in_turn if plan is not None][:count]

    def _drawn(self, stages: int, count: int, seed: int) -> list[Plan]:
        numbers = range(self.count(stages))
        chosen = random.Random(seed).sample(numbers, min(count, len(numbers)))
        return [self.plan(stages, number) for number in chosen]
