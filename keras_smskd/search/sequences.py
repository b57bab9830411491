"""The sequences that a search trains: of any plan, always from the same student."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from keras_smskd.base.repeatable import seed_all
from keras_smskd.checks import check_optimizer
from keras_smskd.distillers import Distiller, JointDistiller
from keras_smskd.reference import freeze_copy
from keras_smskd.search.plans import Plan, Term, Terms
from keras_smskd.search.rungs import divided
from keras_smskd.sequential_distiller import SequentialDistiller
from keras_smskd.stage import Stage

Method = Callable[[Any, keras.Model], Distiller]


class Sequences:
    """Makes the sequences of plans.

    Args:
        teacher: The teacher, or a list of them.
        student_factory: Makes a new student.
        methods: What makes the distiller of a method, by name.
        seed: Of the students, and of what the methods train besides them.
        reference_weight: The largest one that is tried.
        joint: Whether a stage may have several methods.
        **options: Further arguments of `SequentialDistiller`.

    Attributes:
        whole: The sequence of all methods, which is never trained: it shows before the search what would go wrong.
    """

    def __init__(
        self,
        teacher: Any,
        student_factory: Callable[[], keras.Model],
        methods: Mapping[str, Method],
        *,
        seed: int,
        reference_weight: float,
        joint: bool,
        **options: Any,
    ) -> None:
        self.teacher = teacher
        self.student_factory = student_factory
        self.methods = methods
        self.seed = seed
        self.first: keras.Model | None = None
        self.first = self._new_student()
        self._weights = self.first.get_weights()
        if not _can_be_cloned(self.first):
            options["student_factory"] = student_factory
        self._options = options
        self._optimizer: Any = None
        self._all = Plan(tuple((Term(method, 1.0),) for method in methods), reference_weight)
        self._layers: list[str] = []
        self.whole = self._sequence(self.first, self._all, epochs=len(methods))
        if joint:
            _jointly([stage.distiller for stage in self.whole.stages])
        self._layers = layers_of(self.whole)
        self.student()

    def compile(self, optimizer: Any, **arguments: Any) -> None:
        """Takes the arguments of `SequentialDistiller.compile`; `optimizer` may be a function of a stage's epochs."""
        if isinstance(optimizer, type):
            raise TypeError(
                "`optimizer` must be a name, an instance or a function that makes one for the epochs of a stage. "
                f"Received: the class {optimizer.__name__}"
            )
        self._optimizer, self._arguments = optimizer, arguments
        self.whole = self._compiled(self.first, self._all, epochs=len(self.methods))

    def of(self, plan: Plan, epochs: int) -> SequentialDistiller:
        """The sequence of a plan, its epochs divided among its stages, with a new student."""
        return self._compiled(self.student(), plan, epochs)

    def student(self) -> keras.Model:
        """A new student, with the weights of all."""
        student = self._new_student()
        student.set_weights(self._weights)
        return student

    def _new_student(self) -> keras.Model:
        seed_all(self.seed)
        student = self.student_factory()
        if not isinstance(student, keras.Model) or student is self.first:
            raise ValueError(
                "`student_factory` must return a new `keras.Model` each time that it is called. Received: "
                f"{'the same one again' if student is self.first else repr(student)}"
            )
        return student

    def _compiled(self, student: Any, plan: Plan, epochs: int) -> SequentialDistiller:
        sequence = self._sequence(student, plan, epochs)
        sequence.compile("sgd" if callable(self._optimizer) else self._optimizer, **self._arguments)
        return sequence

    def _sequence(self, student: keras.Model, plan: Plan, epochs: int) -> SequentialDistiller:
        of_stages = zip(plan.stages, divided(epochs, len(plan.stages)), strict=True)
        stages = [self._stage(student, *of_stage) for of_stage in of_stages]
        for stage in stages:
            stage.distiller.also_cached = self._layers
        return SequentialDistiller(stages, reference_weight=plan.reference_weight, **self._options)

    def _stage(self, student: keras.Model, terms: Terms, epochs: int) -> Stage:
        distillers = [self._weighted(student, term) for term in terms]
        distiller = distillers[0] if len(distillers) == 1 else _jointly(distillers)
        optimizer = check_optimizer(self._optimizer(epochs)) if callable(self._optimizer) else None
        return Stage(distiller, epochs, optimizer=optimizer, name=" + ".join(term.method for term in terms))

    def _weighted(self, student: keras.Model, term: Term) -> Distiller:
        distiller = self._distiller(student, term.method)
        distiller.distillation_weight = float(distiller.distillation_weight.numpy()) * term.factor
        return distiller

    def _distiller(self, student: keras.Model, method: str) -> Distiller:
        seed_all(self.seed, 1)
        distiller = self.methods[method](self.teacher, student)
        expected = [*keras.tree.flatten(self.teacher), student]
        received = [*distiller.teachers, distiller.student] if isinstance(distiller, Distiller) else []
        if list(map(id, received)) != list(map(id, expected)):
            raise ValueError(
                f"`methods[{method!r}]` must return a distiller of the teacher and the student that it is called with. "
                f"Received: {distiller!r}"
            )
        return distiller


def layers_of(sequence: SequentialDistiller) -> list[str]:
    """The layers of the teacher that a sequence reads."""
    return sorted({path for stage in sequence.stages for path, _ in stage.distiller.matched_layers})


def _jointly(distillers: Sequence[Distiller]) -> JointDistiller:
    try:
        return JointDistiller(distillers)
    except ValueError as error:
        raise ValueError(f"`methods` must fit into one stage, unless `max_joint` is 1: {error}") from error


def _can_be_cloned(student: keras.Model) -> bool:
    """Whether a sequence can copy the student by itself, so that it can be saved without the factory."""
    try:
        freeze_copy(student)
    except ValueError:
        return False
    return True
