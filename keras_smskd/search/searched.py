"""What came out of a search."""

from collections.abc import Callable
from typing import Any

from keras_smskd import checks
from keras_smskd.search import report
from keras_smskd.search.halving import SuccessiveHalving, failed
from keras_smskd.search.report import Result
from keras_smskd.search.rungs import Rung
from keras_smskd.search.sequences import Sequences
from keras_smskd.sequential_distiller import SequentialDistiller


class Searched:
    """Part of `PlanSearch`: its results."""

    budget: int
    _oracle: SuccessiveHalving
    _sequences: Sequences

    @property
    def objective(self) -> str:
        """Name of the log that plans are compared by."""
        return str(self._oracle.objective.name)

    @property
    def rungs(self) -> list[Rung]:
        """How many plans are trained for how many epochs: of the first part, then of the second."""
        return list(self._oracle.rungs)

    def results(self) -> list[Result]:
        """The trials, best first: those of more epochs before those of fewer, failed ones last.

        Returns:
            For each trial a dict of `plan`, such as `"0.1 * FitNet + 10 * KD > 1 * DKD"`, `reference_weight`, `epochs`,
            the objective (NaN if it failed) and `failure` (None, or why).
        """
        return [report.result_of(trial, self._oracle) for trial in self._oracle.get_best_trials(None)]

    def summary(self, num_trials: int = 10, print_fn: Callable[[str], Any] = print) -> None:
        """Prints how the budget is divided, and the best trials."""
        print_fn(report.division(self._oracle.parts, self.budget))
        print_fn(report.table(self.results()[:num_trials], self.objective))

    def best_sequence(self, epochs: int | None = None) -> SequentialDistiller:
        """The plan of the best trial, compiled, with a new student from the weights of all.

        Args:
            epochs: Epochs to divide among its stages. Default: those of the best trial.

        Raises:
            ValueError: If no trial has succeeded, or `epochs` is less than the number of stages.
        """
        best = next(iter(self._oracle.get_best_trials()), None)
        if best is None or failed(best):
            raise ValueError("`best_sequence` needs a trial that succeeded: call `fit` before.")
        plan = self._oracle.plan_of(best)
        epochs = best.hyperparameters.values["epochs"] if epochs is None else epochs
        return self._sequences.of(plan, checks.check_count("epochs", epochs, smallest=len(plan.stages)))
