"""Plans: stages of one method or several, each with its factor, and how they are written."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Term:
    """A method of a stage.

    Attributes:
        method: Its name.
        factor: Factor of its distillation weight.
    """

    method: str
    factor: float

    @property
    def text(self) -> str:
        """The term as people read it, such as `"0.1 * FitNet"`: the factor exactly."""
        return f"{str(self.factor).removesuffix('.0')} * {self.method}"

    @classmethod
    def read(cls, text: str) -> "Term":
        """The term of a text."""
        factor, method = text.split(" * ")
        return cls(method, float(factor))


Terms = tuple[Term, ...]
"""A stage: one method, or several jointly."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is tried.

    Attributes:
        stages: The methods of each stage.
        reference_weight: Weight of the reference loss; 0 for a single stage, which has none.
    """

    stages: tuple[Terms, ...]
    reference_weight: float = 0.0

    @property
    def text(self) -> str:
        """The stages as people read them, such as `"0.1 * FitNet + 10 * KD > 1 * DKD"`."""
        return " > ".join(" + ".join(term.text for term in terms) for terms in self.stages)

    @classmethod
    def read(cls, text: str, reference_weight: float) -> "Plan":
        """The plan of a text.

        Example:

        >>> Plan.read("0.1 * FitNet + 10 * KD > 1 * DKD", 3.0).stages[1]
        (Term(method='DKD', factor=1.0),)
        """
        stages = (tuple(Term.read(term) for term in stage.split(" + ")) for stage in text.split(" > "))
        return cls(tuple(stages), reference_weight)
