"""Successive halving, as an oracle of KerasTuner."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Container, Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from keras_smskd.search.plans import Plan
from keras_smskd.search.rungs import Rung


@dataclasses.dataclass(frozen=True)
class Part:
    """One successive halving.

    Attributes:
        name: What is tried in it.
        plans: The plans of the first rung, for those of the parts before, best first.
        rungs: How many plans each rung trains, and for how many epochs.
    """

    name: str
    plans: Callable[[list[Plan]], Sequence[Plan]]
    rungs: Sequence[Rung]


class SuccessiveHalving(keras_tuner.Oracle):
    """Tries the plans of each part rung by rung, in each the best of the one before; its state is its trials.

    Args:
        objective: What the plans are compared by.
        parts: The parts, each begun when the one before has ended.
    """

    def __init__(self, objective: Any, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.rungs = [rung for part in parts for rung in part.rungs]
        begins = itertools.accumulate((len(part.rungs) for part in parts[:-1]), initial=0)
        self._begins = dict(zip(begins, parts, strict=True))
        super().__init__(objective=objective, max_trials=sum(rung.plans for rung in self.rungs))
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        begun = [_rung(trial) for trial in self.trials.values()]
        number = max(begun, default=0)
        waiting = self.plans_of(number)[begun.count(number) :]
        if not waiting and self.ongoing_trials:
            return {"status": TrialStatus.IDLE}
        while not waiting and number + 1 < len(self.rungs):
            number += 1
            waiting = self.plans_of(number)
        if not waiting:
            return {"status": TrialStatus.STOPPED}
        return {"status": TrialStatus.RUNNING, "values": self._values(waiting[0], number)}

    def plan_of(self, trial: Trial) -> Plan:
        """The plan that a trial tries."""
        values = trial.hyperparameters.values
        return Plan.read(values["plan"], values["reference_weight"])

    def plans_of(self, number: int) -> Sequence[Plan]:
        """The plans of a rung. One that failed goes no further."""
        if number in self._begins:
            return self._begins[number].plans(self._succeeded(range(number)))
        return self._succeeded([number - 1])[: self.rungs[number].plans]

    def get_best_trials(self, num_trials: int | None = 1) -> list[Trial]:
        """The trials that have ended, best first: those of more epochs before those of fewer, failed ones last."""
        return self._ranked(range(len(self.rungs)))[:num_trials]

    def _values(self, plan: Plan, number: int) -> dict[str, Any]:
        epochs = self.rungs[number].epochs
        return {"plan": plan.text, "reference_weight": plan.reference_weight, "epochs": epochs, "rung": number}

    def _succeeded(self, numbers: Container[int]) -> list[Plan]:
        """The plans that succeeded in some rungs, best first."""
        return [self.plan_of(trial) for trial in self._ranked(numbers) if not failed(trial)]

    def _ranked(self, numbers: Container[int]) -> list[Trial]:
        """The trials of some rungs that have ended, best first."""
        trials = (self.trials[trial_id] for trial_id in sorted(self.trials))
        ended = [trial for trial in trials if _rung(trial) in numbers and trial.status == TrialStatus.COMPLETED]
        return sorted(ended, key=self._place)

    def _place(self, trial: Trial) -> tuple[bool, int, float]:
        """What trials are sorted by."""
        score = -trial.score if self.objective.direction == "max" else trial.score
        return failed(trial), -trial.hyperparameters.values["epochs"], score


def failed(trial: Trial) -> bool:
    """Whether a trial that has ended came to nothing: the value of its objective is the worst there is."""
    return not math.isfinite(trial.score)


def _rung(trial: Trial) -> int:
    return int(trial.hyperparameters.values["rung"])
