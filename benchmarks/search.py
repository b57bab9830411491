"""Do stages pay where a search chooses? A search among plans of up to three stages, and one among single methods.

    KERAS_BACKEND=tensorflow python -m benchmarks.search --data cifar100.npz --seeds 0 1 2 3 4

The first composes plans of the methods that it has tried, one after another and jointly; the second has single methods
alone. Both have the same budget of epochs, the methods of the study and the desk protocol, but with 10,000 validation
images: what they choose between differs by less than an accuracy on 2,500 images is off by. The winner of each is then
trained by the protocol, once for every seed, as `benchmarks.cifar100 run` does, whose files in
`benchmarks/results/desk` are taken where they are there. Writes benchmarks/results/search/desk_max_stages=N.json. A
search that was cut off goes on where it was.
"""

import argparse
import dataclasses
import json
import pathlib
from typing import Any

import keras

import keras_smskd as smskd
from benchmarks.cifar100 import RESULTS, results_of, teacher_file
from benchmarks.data import Images, cifar100
from benchmarks.study.lists import FACTORS
from benchmarks.study.methods import METHODS
from benchmarks.study.plan import Run
from benchmarks.study.protocol import DESK, Protocol
from benchmarks.study.schedule import optimizer, rates_of
from benchmarks.study.training import Split, cache_of, save, split_of, teacher_of, train
from benchmarks.training import label_loss
from benchmarks.turns import machine, versions
from benchmarks.zoo import build
from keras_smskd.search import PlanSearch

MAX_STAGES = (3, 1)
VALIDATION = dataclasses.replace(DESK, validation_images=10_000)


@dataclasses.dataclass(frozen=True)
class Task:
    """What searches are for.

    Attributes:
        protocol: Of all trials and of the winners.
        split: Images of the protocol.
        validation: Validation images of the searches.
        teacher: The trained teacher.
        work: Where caches and trials are kept.
        results: Where results are written.
    """

    protocol: Protocol
    split: Split
    validation: Images
    teacher: keras.Model
    work: pathlib.Path
    results: pathlib.Path


def search_of(max_stages: int, budget: int, task: Task) -> PlanSearch:
    """A search that has ended."""
    protocol = task.protocol
    search = PlanSearch(
        task.teacher,
        lambda: build(protocol.student, protocol.image_size),
        {
            name: lambda teacher, student, make=make: make(teacher, student, protocol.images)
            for name, make in METHODS.items()
        },
        max_stages=max_stages,
        max_joint=2 if max_stages > 1 else 1,
        weights=FACTORS,
        epochs=protocol.epochs,
        budget=budget,
        directory=task.work / f"search_max_stages={max_stages}",
    )
    search.compile(
        lambda epochs: optimizer(protocol, rates_of(protocol, epochs), protocol.images), label_loss(), ["accuracy"]
    )
    arguments = {"validation_data": task.validation, "cache": cache_of(protocol, task.work)}
    search.fit(*task.split.student, batch_size=protocol.batch_size, **arguments)
    return search


def run_of(best: dict[str, Any]) -> Run:
    """The best trial as a run of the study."""
    plan = best["plan"]
    return Run(plan, reference_weight=best["reference_weight"]) if ">" in plan else Run(plan)


def tested(run: Run, task: Task) -> float:
    """Test accuracy of a run after its last epoch, in per cent; the run is made if it is not there."""
    directory = results_of("desk", task.results)
    file = directory / f"{run.name}.json"
    if not file.exists():
        save(train(run, task.protocol, task.split, task.teacher, task.work), run, directory)
    return json.loads(file.read_text())["test"]["last epoch"]


def find(max_stages: int, budget: int, seeds: list[int], task: Task) -> None:
    """Searches, trains the winner and writes what came out."""
    search = search_of(max_stages, budget, task)
    search.summary()
    trials = search.results()
    winner = run_of(trials[0])
    found = {
        "budget": budget,
        "rungs": [dataclasses.asdict(rung) for rung in search.rungs],
        "spent": sum(trial["epochs"] for trial in trials),
        "winner": winner.label,
        "test": {seed: tested(dataclasses.replace(winner, seed=seed), task) for seed in seeds},
        "trials": trials,
        "protocol": dataclasses.asdict(task.protocol),
        "validation images of the search": len(task.validation[0]),
        "versions": {"keras_smskd": smskd.__version__, **versions()},
        "machine": machine(),
    }
    print(f"{found['winner']}: {found['test']}", flush=True)
    file = task.results / "search" / f"desk_max_stages={max_stages}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="an npz file of CIFAR-100")
    parser.add_argument("--budget", type=int, default=288, help="epochs of all trials of a search")
    parser.add_argument("--max-stages", type=int, nargs="*", default=MAX_STAGES, help="a search for each")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(5)))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("runs/cifar100"))
    options = parser.parse_args()
    data = cifar100(options.data)
    split, validation = split_of(DESK, data), split_of(VALIDATION, data).validation
    teacher = teacher_of(DESK, split, teacher_file("desk", DESK))
    task = Task(DESK, split, validation, teacher, options.work / "desk", RESULTS)
    for max_stages in options.max_stages:
        find(max_stages, options.budget, options.seeds, task)


if __name__ == "__main__":
    main()
