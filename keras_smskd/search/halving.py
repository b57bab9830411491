"""Successive halving, as an oracle of KerasTuner."""

import math
from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from keras_smskd.search.plans import Plan
from keras_smskd.search.rungs import Rung


class SuccessiveHalving(keras_tuner.Oracle):
    """Tries plans rung by rung, in each the best of the one before; its state is its trials.

    Args:
        objective: What the plans are compared by.
        plans: The plans of the first rung.
        rungs: How many plans each rung trains, and for how many epochs.
    """

    def __init__(self, objective: Any, plans: Sequence[Plan], rungs: Sequence[Rung]) -> None:
        count = sum(rung.plans for rung in rungs)
        super().__init__(objective=objective, max_trials=count)
        self.plans = plans
        self.rungs = rungs
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        number = max((trial.hyperparameters.values["rung"] for trial in self.trials.values()), default=0)
        waiting = self._plans_of(number)[len(self._begun(number)) :]
        if not waiting and self.ongoing_trials:
            return {"status": TrialStatus.IDLE}
        if not waiting:
            number += 1
            waiting = self._plans_of(number)
        if not waiting:
            return {"status": TrialStatus.STOPPED}
        return {"status": TrialStatus.RUNNING, "values": self._values(waiting[0], number)}

    def plan_of(self, trial: Trial) -> Plan:
        """The plan that a trial tries."""
        return self.plans[trial.hyperparameters.values["number"]]

    def get_best_trials(self, num_trials: int | None = 1) -> list[Trial]:
        """The trials that have ended, best first: those of more epochs before those of fewer, failed ones last."""
        numbers = range(len(self.rungs) - 1, -1, -1)
        trials = [trial for number in numbers for trial in self._ranked(number)]
        return sorted(trials, key=failed)[:num_trials]

    def _values(self, index: int, number: int) -> dict[str, Any]:
        plan = self.plans[index]
        return {
            "plan": plan.text,
            "weights": plan.text_of_weights,
            "reference_weight": plan.reference_weight,
            "epochs": self.rungs[number].epochs,
            "rung": number,
            "number": index,
        }

    def _plans_of(self, number: int) -> list[int]:
        """The plans of a rung, by their place in all of them. A plan that failed goes no further."""
        if number == 0:
            return list(range(len(self.plans)))
        if number == len(self.rungs):
            return []
        survivors = [trial for trial in self._ranked(number - 1) if not failed(trial)]
        return [trial.hyperparameters.values["number"] for trial in survivors[: self.rungs[number].plans]]

    def _begun(self, number: int) -> list[Trial]:
        trials = (self.trials[trial_id] for trial_id in sorted(self.trials))
        return [trial for trial in trials if trial.hyperparameters.values["rung"] == number]

    def _ranked(self, number: int) -> list[Trial]:
        """The trials of a rung that have ended, best first."""
        ended = [trial for trial in self._begun(number) if trial.status == TrialStatus.COMPLETED]
        return sorted(ended, key=lambda trial: trial.score, reverse=self.objective.direction == "max")


def failed(trial: Trial) -> bool:
    """Whether a trial that has ended came to nothing: the value of its objective is the worst there is."""
    return not math.isfinite(trial.score)
