"""PlanSearch: which methods, in which order, with which weights."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras_tuner.engine.trial import Trial

from keras_smskd import checks
from keras_smskd.backup import description
from keras_smskd.cache import as_cache
from keras_smskd.cache.digests import fingerprint
from keras_smskd.reference import Weighting
from keras_smskd.search import arguments, report
from keras_smskd.search.directory import check_same_search, describe_in, taken
from keras_smskd.search.halving import SuccessiveHalving
from keras_smskd.search.parts import parts_of
from keras_smskd.search.plans import Plan
from keras_smskd.search.report import Result
from keras_smskd.search.searched import Searched
from keras_smskd.search.sequences import Method, Sequences
from keras_smskd.search.space import Limits
from keras_smskd.search.trials import Trials


class PlanSearch(Searched):
    """Searches for the methods, their order and their weights that make the best student of a budget of epochs.

    The first part of the search tries single methods, with all `weights`. The second part tries plans composed of them,
    each with its best weight: jointly in a stage, one after another, or both, with one of the two best methods in every
    stage. They are drawn at random, as many of one stage as of two, and so on. Each part compares its plans by
    successive halving, with KerasTuner: all are trained for few epochs, the best 1/`factor` of them for `factor` times
    as many, and so on up to `epochs`. Every trial trains a new student from the same weights with the same seed, its
    epochs divided among its stages; what counts is the value of its last epoch on validation data. The result is the
    best of both parts.

    The budget is divided so that most plans are tried, and that the epochs of all trials add up to no more than
    `budget`: the first part has at most half of it, the second what is left. `rungs` says how. With 9 methods, 3
    weights, a factor of 3, 12 epochs and a budget of 288, 27 single methods are trained for 1 epoch, 9 of them for 4,
    and 3 of those for 12; then 23 composed plans for 4 epochs, and 7 of them for 12. A trial whose loss is not finite
    counts as worst.

    Args:
        teacher: The teacher, or a list of teachers. It is never changed.
        student_factory: Makes a new, built student each time that it is called.
        methods: Dict of names and functions `(teacher, student) -> distiller`, such as `{"KD": KDDistiller}`. Names
            have no `>`, `+` and `*`, of which plans are written.
        max_stages: The largest number of stages of a plan. No stage follows itself.
        max_joint: The largest number of methods in one stage, which a `JointDistiller` trains; with
            `max_stages=1, max_joint=1` single methods have the whole budget.
        weights: Factors to try of the `distillation_weight` that a method's distiller has, each above 0.
        reference_weights: Weights to try of the reference loss, each at least 0.
        reference_temperature: As in `SequentialDistiller`.
        weighting: As in `SequentialDistiller`.
        epochs: Epochs of the longest trials, all stages together, at least `max_stages`.
        budget: The most that the epochs of all trials may add up to: at least `epochs`, and 4 times as many if there
            is a second part.
        factor: One in so many plans goes on, with so many times the epochs; at least 2.
        min_epochs: The fewest epochs of a trial, at most `epochs`. Those of the second part have at least `max_stages`.
        objective: Log of validation data to compare by, such as `"val_accuracy"`, or a `keras_tuner.Objective`.
        seed: Of the plans, the students and the training.
        directory: Where the trials are kept: the same search, started again, trains none of them twice. Default: no
            trial outlives the process.

    Raises:
        ImportError: At import, if KerasTuner is not installed.
        TypeError: If an argument is of another type.
        ValueError: If a number is out of range, a student cannot be made anew, or a method does not fit the models.

    Example:

    >>> from keras_smskd import FitNetDistiller, KDDistiller
    >>> def model(width):
    ...     layers = keras.layers
    ...     return keras.Sequential([keras.Input((4,)), layers.Dense(width, name="hidden"), layers.Dense(3)])
    >>> fitnet = lambda teacher, student: FitNetDistiller(teacher, student, layers={"hidden": "hidden"})
    >>> methods = {"KD": KDDistiller, "FitNet": fitnet}
    >>> search = PlanSearch(model(16), lambda: model(5), methods, max_stages=2, epochs=2, budget=10)
    >>> search.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    >>> x, y = np.ones((8, 4)), np.zeros(8)
    >>> results = search.fit(x, y, validation_data=(x, y), verbose=0)
    >>> search.rungs
    [Rung(plans=2, epochs=2), Rung(plans=3, epochs=2)]
    >>> sequence = search.best_sequence()

    Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
    arXiv:1502.07943.
    """

    def __init__(
        self,
        teacher: Any,
        student_factory: Callable[[], keras.Model],
        methods: Mapping[str, Method],
        *,
        max_stages: int = 3,
        max_joint: int = 2,
        weights: Sequence[float] = (0.1, 1.0),
        reference_weights: Sequence[float] = (0.0, 1.0, 3.0),
        reference_temperature: float = 4.0,
        weighting: str | Weighting = "tcp",
        epochs: int,
        budget: int,
        factor: int = 3,
        min_epochs: int = 1,
        objective: Any = "val_accuracy",
        seed: int = 0,
        directory: Any = None,
    ) -> None:
        methods = arguments.check_methods(methods)
        weights = arguments.check_distinct("weights", weights, checks.check_positive)
        reference_weights = arguments.check_distinct("reference_weights", reference_weights, checks.check_weight)
        checks.check_count("budget", budget)
        arguments.check_most("epochs", epochs, budget, "budget")
        arguments.check_most("max_stages", max_stages, epochs, "epochs")
        checks.check_count("max_joint", max_joint)
        arguments.check_most("min_epochs", min_epochs, epochs, "epochs")
        checks.check_count("factor", factor, smallest=2)
        checks.check_count("seed", seed, smallest=0)
        self.budget = budget
        self.directory = None if directory is None else checks.check_directory("directory", directory)
        self._limits = Limits(max_stages, max_joint, reference_weights)
        divided = {"epochs": epochs, "budget": budget, "factor": factor, "min_epochs": min_epochs, "seed": seed}
        parts = parts_of(list(methods), weights, self._limits, **divided)
        self._new_oracle = functools.partial(SuccessiveHalving, arguments.check_objective(objective), parts)
        self._oracle = self._new_oracle()
        self._compiled = False
        self._seed = seed
        self._sequences = Sequences(
            teacher,
            student_factory,
            methods,
            seed=seed,
            reference_weight=max(reference_weights),
            joint=max_joint > 1,
            reference_temperature=reference_temperature,
            weighting=weighting,
        )

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """Configures the training of all trials, as `SequentialDistiller.compile` does.

        Args:
            optimizer: Name or instance, of which every stage gets a fresh copy, or a function that makes an optimizer
                for the number of epochs of a stage: a learning-rate schedule depends on it.
            loss: The label loss, such as `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`.
            metrics: List of metrics, the objective's among them.
            **kwargs: Further arguments of `SequentialDistiller.compile`.

        Raises:
            TypeError: If `optimizer` is none of those.
            ValueError: As `SequentialDistiller.compile` does.
        """
        self._sequences.compile(optimizer, loss=loss, metrics=metrics, **kwargs)
        self._compiled = True

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        callbacks: Any = None,
        *,
        cache: Any = None,
        resume: bool = True,
        **kwargs: Any,
    ) -> list[Result]:
        """Trains the trials, with the arguments and data sources of `SequentialDistiller.fit`.

        Args:
            x: Training data.
            y: Labels.
            batch_size: Samples per step.
            verbose: Unless 0, a line for every trial.
            callbacks: List of callbacks, which see every trial.
            cache: True, a directory or a `Cache`: what the teachers output is computed once for all trials.
            resume: Whether to go on with what `directory` holds; False to begin anew.
            **kwargs: Further arguments of `SequentialDistiller.fit`, `validation_data` or `validation_split` among
                them; not those that the search sets: epochs, seed and backups.

        Returns:
            The results.

        Raises:
            TypeError: If an argument is not for `fit` to say.
            ValueError: As `SequentialDistiller.fit` does; without `compile` before; without validation data; if the
                objective is no log; if `directory` holds another search.
            RuntimeError: If another process uses `directory`.
            FloatingPointError: If the loss of every trial is not finite.
        """
        if not self._compiled:
            raise ValueError("You must call `compile()` before calling `fit()`.")
        arguments.check_fit(kwargs, resume)
        data = {"x": x, "y": y, "batch_size": batch_size, "callbacks": callbacks, "cache": as_cache(cache), **kwargs}
        for stage in self._sequences.whole.stages if data["cache"] else ():
            stage.distiller.check_cacheable()
        arguments.check_log(self.objective, self._sequences.whole, data)
        with taken(self.directory) as directory:
            self._run(directory, self._description(data), data, resume, verbose)
        return self.results()

    def _run(self, directory: pathlib.Path, described: Any, data: dict[str, Any], resume: bool, verbose: Any) -> None:
        if resume:
            check_same_search(directory, described)
        self._oracle = self._new_oracle()
        trials = Trials(self._oracle, directory, self._train, self._say if verbose else lambda trial: None, resume)
        describe_in(directory, described)
        if verbose:
            print(report.division(self._oracle.parts, self.budget))
        trials.run(**data)
        best, *others = self.results()
        if best["failure"]:
            raise FloatingPointError(f"All {1 + len(others)} trials failed. The first: {best['failure']}")

    def _train(self, plan: Plan, epochs: int, **data: Any) -> float:
        """Trains a plan, and returns the objective of its last epoch."""
        history = self._sequences.of(plan, epochs).fit(**data, seed=self._seed, verbose=0).history
        arguments.check_logged(self.objective, history)
        return float(history[self.objective][-1])

    def _say(self, trial: Trial) -> None:
        result = report.result_of(trial, self._oracle)
        print(f"Trial {len(self._oracle.end_order)}: {report.line(result, self.objective)}", flush=True)

    def _description(self, data: dict[str, Any]) -> dict[str, Any]:
        """All that must be the same for a search to go on."""
        return {
            "objective": self.objective,
            "rungs": [[rung.plans, rung.epochs] for rung in self.rungs],
            "plans": [plan.text for plan in self._oracle.plans_of(0)],
            "composed": dataclasses.asdict(self._limits),
            "initial_weights": fingerprint([self._sequences.first]),
            **description(self._sequences.whole, data, data["callbacks"], self._seed),
        }
