"""What the runs of a study add up to."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Container, Iterable
from statistics import mean, stdev
from typing import Any

from benchmarks.study.plan import ALONE, Run

Result = dict[str, Any]


def test(result: Result) -> float:
    """Test accuracy after the last epoch, in per cent."""
    return result["test"]["last epoch"]


def best(result: Result) -> float:
    """Test accuracy of the epoch that was best on validation images, in per cent."""
    return result["test"]["best epoch"]


def validation(result: Result) -> float:
    """Validation accuracy after the last epoch, in per cent."""
    return result["validation"][-1]


def seconds(result: Result) -> float:
    """Seconds of training."""
    return result["processor seconds"][-1]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: The mean.
        error: Its standard error; NaN for one seed.
        seeds: The number of seeds.
    """

    mean: float
    error: float
    seeds: int

    @classmethod
    def of(cls, values: list[float]) -> "Estimate":
        """The estimate from the values of all seeds."""
        error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        return cls(mean(values), error, len(values))

    def text(self, sign: str = "") -> str:
        """Mean and standard error; of one seed the value."""
        return f"{self.mean:{sign}.2f}" + (f" ± {self.error:.2f}" if self.seeds > 1 else "")


class Summary:
    """The results in some directories, by the label of their runs and by seed.

    Args:
        directories: Where the files are.
        seeds: Those that count.
    """

    def __init__(self, *directories: pathlib.Path, seeds: Container[int] = range(5)) -> None:
        self.rows: dict[str, dict[int, Result]] = {}
        for file in (file for directory in directories for file in sorted(directory.glob("*.json"))):
            result = json.loads(file.read_text())
            run = Run(**result["run"])
            if run.seed in seeds:
                self.rows.setdefault(run.label, {})[run.seed] = result

    def estimate(self, label: str, read: Callable[[Result], float]) -> Estimate:
        """The mean over seeds of what is read from a result."""
        return Estimate.of([read(result) for result in self.rows[label].values()])

    def difference(self, label: str, other: str, read: Callable[[Result], float]) -> Estimate:
        """The mean of the differences to another row, seed by seed."""
        seeds = sorted(self.rows[label].keys() & self.rows[other].keys())
        return Estimate.of([read(self.rows[label][seed]) - read(self.rows[other][seed]) for seed in seeds])

    def done(self, runs: Iterable[Run]) -> list[str]:
        """The labels of runs that were made, in order."""
        return list(dict.fromkeys(run.label for run in runs if run.label in self.rows))

    def accuracy(self, label: str) -> str:
        """The test accuracy in words; none for a row that is not there."""
        return self.estimate(label, test).text() if label in self.rows else ""

    def against(self, label: str, other: str, read: Callable[[Result], float] = test) -> str:
        """The paired difference in words, of the test accuracy by default; none where no seed has both rows."""
        shared = self.rows.get(label, {}).keys() & self.rows.get(other, {}).keys()
        return self.difference(label, other, read).text("+") if shared else ""

    def costs(self, label: str) -> Estimate:
        """Seconds of training, relative to the student alone."""
        alone = self.estimate(ALONE, seconds).mean
        return Estimate.of([seconds(result) / alone for result in self.rows[label].values()])

    def times_to_accuracy(self, label: str) -> list[float]:
        """The part of the time of the student alone after which a row passes what that ends with; inf for never."""
        times = []
        for seed in sorted(self.rows[label].keys() & self.rows[ALONE].keys()):
            alone, result = self.rows[ALONE][seed], self.rows[label][seed]
            reached = zip(result["processor seconds"], result["validation"], strict=True)
            first = (moment for moment, value in reached if value >= alone["validation"][-1])
            times.append(next(first, math.inf) / seconds(alone))
        return times
