"""Stages of one student: their distillers, optimizers and reference, before anything is trained."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import keras

from keras_smskd import checks, model_checks
from keras_smskd.argument_names import check_known
from keras_smskd.distillers import Distiller
from keras_smskd.plan import Plan, describe, table
from keras_smskd.reference import Reference, Weighting, get_weighting
from keras_smskd.stage import Stage
from keras_smskd.student_model import StudentModel


class Staged(StudentModel):
    """Part of `SequentialDistiller`: what the stages are, and how each is compiled."""

    set_once = ("reference_weight", "reference_temperature", "weighting", "student_factory")

    def __init__(
        self,
        stages: Sequence[Stage | Distiller],
        *,
        reference_weight: float = 1.0,
        reference_temperature: float = 4.0,
        weighting: str | Weighting = "tcp",
        student_factory: Callable[[], keras.Model] | None = None,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> None:
        check_known(type(self).__name__, unknown, [Staged.__init__])
        if not isinstance(stages, list | tuple):
            raise TypeError(f"`stages` must be a list. Received: stages={stages!r} (of type {type(stages)})")
        stages = [stage if isinstance(stage, Stage) else Stage(stage) for stage in stages]
        model_checks.check_distillers("stages", [stage.distiller for stage in stages])
        student = stages[0].distiller.student
        super().__init__(student, name=name)
        self.stages = tuple(stages)
        self.reference_weights = self._weights_of_stages(checks.check_weight("reference_weight", reference_weight))
        self._epochs = self._epochs_of_stages(None)
        self.reference_weight = reference_weight
        self.reference_temperature = reference_temperature
        self.weighting = weighting
        self.student_factory = student_factory
        get_weighting(weighting)
        self._reference = None
        if any(self.reference_weights):
            self._reference = Reference(
                student, temperature=reference_temperature, weighting=weighting, student_factory=student_factory
            )

    @property
    def reference(self) -> keras.Model | None:
        """The frozen copy of the student, or None if no stage has a reference loss."""
        return self._reference.model if self._reference else None

    def _weights_of_stages(self, default: float) -> list[float]:
        """The weights of the reference loss: 0 in stages that do not train the student, and until one has."""
        weights, trained = [], False
        for stage in self.stages:
            own = default if stage.reference_weight is None else stage.reference_weight
            weights.append(own if trained and stage.distiller.trains_student else 0.0)
            trained = trained or stage.distiller.trains_student
        return weights

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: None = None,
        metrics: Any = None,
        *,
        on_nonfinite: str = "raise",
        gather: bool = False,
        **kwargs: Any,
    ) -> None:
        """Configures all stages, as `keras.Model.compile` does.

        Args:
            optimizer: Name or instance. Every stage without an optimizer of its own trains with a fresh copy of it,
                made from its configuration; the instance itself is left as it is. So a learning-rate schedule starts
                anew in every stage: give it the steps of one stage.
            loss: The label loss, such as `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`.
            loss_weights: Must be None: set the distillers' `label_weight` instead.
            metrics: List of metrics, computed from the student's logits.
            on_nonfinite: `"raise"` or `"skip_batch"`: what a loss does that is NaN or infinite, as in
                `Distiller.compile`.
            gather: Whether replicas that each see a part of the batch bring their parts together for the distillation
                loss, as in `Distiller.compile`.
            **kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: As `Distiller.compile` does.
        """
        # Not a dict: Keras would track the metrics in it as metrics of the sequence.
        arguments = {"loss": loss, "loss_weights": loss_weights, "metrics": metrics, **kwargs}
        arguments |= {"on_nonfinite": on_nonfinite, "gather": gather}
        self._compile_arguments: Callable[[], dict[str, Any]] = functools.partial(dict, **arguments)
        self._default_optimizer = optimizer
        for index in range(len(self.stages)):
            self._compile_stage(index)
        super().compile(optimizer=self.stages[0].fresh_optimizer(optimizer), loss=loss, metrics=metrics, **kwargs)

    def begin_stage(self, index: int) -> Distiller:
        """What `fit` does first in a stage: copies the student to the stage's reference, and makes a new optimizer.

        For loops of your own. Call it once a stage, and train the distiller that it gives, batch after batch. A loop
        also calls its `begin_epoch(epoch)`, from 0 in every stage: by it count `warmup_epochs` and what reads `epoch`.

        Args:
            index: Which stage, from 0.

        Returns:
            The distiller of the stage, which is compiled.

        Raises:
            IndexError: If there is no such stage.
            ValueError: Without `compile` before.
        """
        self._check_compiled("begin_stage")
        if index not in range(len(self.stages)):
            raise IndexError(f"`index` must be from 0 to {len(self.stages) - 1}. Received: index={index!r}")
        if self._reference and self.reference_weights[index]:
            self._reference.update()
        return self._compile_stage(index)

    def _check_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(f"You must call `compile()` before calling `{method}()`.")

    def _compile_stage(self, index: int) -> Distiller:
        stage, weight = self.stages[index], self.reference_weights[index]
        stage.distiller.given_index = any(each.distiller.needs_index for each in self.stages)
        stage.distiller.attach_reference(self._reference if weight else None, weight)
        optimizer = stage.fresh_optimizer(self._default_optimizer)
        stage.distiller.compile(optimizer=optimizer, **self._compile_arguments())
        return stage.distiller

    def _epochs_of_stages(self, epochs: int | Sequence[int] | None) -> list[int]:
        if epochs is None:
            return [stage.epochs or 1 for stage in self.stages]
        numbers = list(epochs) if isinstance(epochs, Sequence) else [epochs] * len(self.stages)
        if len(numbers) != len(self.stages):
            raise ValueError(
                f"`epochs` must be one number, or a list of one for each of the {len(self.stages)} stages. "
                f"Received: epochs={epochs!r}"
            )
        return [checks.check_count("epochs", number) for number in numbers]

    def plan(self) -> list[Plan]:
        """What the stages are going to do, or did in the last `fit`, in plain values."""
        return [self._plan_of_stage(index) for index in range(len(self.stages))]

    def _plan_of_stage(self, index: int) -> Plan:
        stage, weight = self.stages[index], self.reference_weights[index]
        plan = {"name": stage.name, "epochs": self._epochs[index], **describe(stage.distiller)}
        plan["reference_weight"] = weight
        if self._reference and weight:
            plan["reference_temperature"] = self._reference.temperature
            weighting = self._reference.weighting
            plan["weighting"] = getattr(weighting, "__name__", type(weighting).__name__).removesuffix("_weighting")
        return plan

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Prints the plan: stage, method, epochs, layers, projector parameters and weights."""
        print_fn(table(self.plan()))
