"""The trials of a search, trained and kept by KerasTuner."""

import contextlib
import gc
import io
import math
import pathlib
from collections.abc import Callable
from typing import Any

from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial
from keras_tuner.errors import FatalError

from keras_smskd.search.halving import SuccessiveHalving

NAME = "trials"
"""The folder, in the directory of a search, that KerasTuner writes."""

WORST = {"max": -math.inf, "min": math.inf}
"""The value of a trial that failed, by what is best."""


class Trials(BaseTuner):
    """Trains what an oracle asks for, once.

    Args:
        oracle: Says what is tried.
        directory: Where the trials are kept.
        train: Trains a plan for some epochs, and returns the value of the objective.
        say: Is told of every trial that has ended.
        resume: Whether to go on with what the directory holds.
    """

    def __init__(
        self,
        oracle: SuccessiveHalving,
        directory: pathlib.Path,
        train: Callable[..., float],
        say: Callable[[Trial], None],
        resume: bool,
    ) -> None:
        self.train = train
        self.say = say
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(oracle=oracle, directory=str(directory), project_name=NAME, overwrite=not resume)

    def run_trial(self, trial: Trial, **arguments: Any) -> dict[str, float]:
        objective = self.oracle.objective
        try:
            value = self.train(self.oracle.plan_of(trial), trial.hyperparameters.values["epochs"], **arguments)
        except FloatingPointError as error:
            value, trial.message = math.nan, str(error)
        except Exception as error:
            raise FatalError from error
        if not math.isfinite(value):
            trial.message = trial.message or f"`{objective.name}` is {value}"
            value = WORST[objective.direction]
        return {objective.name: value}

    def on_trial_end(self, trial: Trial) -> None:
        super().on_trial_end(trial)
        gc.collect()  # The models of a trial and their compiled steps refer to one another.
        self.say(trial)

    def run(self, **arguments: Any) -> None:
        """Trains all trials that are left; what goes wrong, besides a loss that is not finite, ends the search."""
        try:
            self.search(**arguments)
        except FatalError as error:
            raise (error.__cause__ or error) from None
