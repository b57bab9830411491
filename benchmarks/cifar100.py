"""Does distillation in stages pay, and when? Single methods, pairs, triples and ablations on CIFAR-100.

    KERAS_BACKEND=tensorflow python -m benchmarks.cifar100 run "FitNet > KD" --data cifar100.npz --seeds 0 1
    KERAS_BACKEND=tensorflow python -m benchmarks.cifar100 study desk ablation --data cifar100.npz --workers 2

`run` trains students by one plan, `study` by all plans of a list in `benchmarks/study/lists.py`. Every run writes one
file into `benchmarks/results/PROTOCOL/PLACE`, the place being the backend and the GPU, if there is one. A run whose
file is there is not made again, so a study that was cut off goes on where it was. The teacher's weights are kept in
`benchmarks/results/teachers`, caches and checkpoints in the directory `--work`. `--data` is a file with x_train,
y_train, x_test and y_test; without it Keras downloads CIFAR-100. `docs/make_results.py` makes tables and plots of the
files. On a processor TensorFlow takes half the time of PyTorch; on a GPU JAX is the fastest, with as many workers as
there are cores.
"""

import argparse
import concurrent.futures
import dataclasses
import gc
import multiprocessing
import os
import pathlib
import re

import keras

from benchmarks.data import cifar100
from benchmarks.study.lists import LISTS
from benchmarks.study.plan import OPTIONS, Run
from benchmarks.study.protocol import PROTOCOLS, Protocol
from benchmarks.study.training import Split, save, split_of, teacher_of, train
from benchmarks.turns import place

RESULTS = pathlib.Path(__file__).with_name("results")
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""Variables that say how many threads a process has: one, where several processes work."""


def teacher_file(name: str, protocol: Protocol) -> pathlib.Path:
    """Where the teacher of a protocol is kept."""
    return RESULTS / "teachers" / f"{name}_{protocol.teacher}.npz"


def results_of(name: str, results: pathlib.Path = RESULTS) -> pathlib.Path:
    """Where the runs of a protocol are kept that are made by this backend on this GPU, or on none."""
    return results / name / re.sub(r"[^\w.-]+", "_", place())


class Worker:
    """Makes runs in a process of its own.

    Args:
        options: The command line.
    """

    options: argparse.Namespace
    protocol: Protocol
    split: Split
    teacher: keras.Model

    @classmethod
    def begin(cls, options: argparse.Namespace) -> None:
        """Reads the data and the teacher, once for all runs of the process."""
        cls.options, cls.protocol = options, protocol_of(options)
        cls.split = split_of(cls.protocol, cifar100(options.data))
        cls.teacher = teacher_of(cls.protocol, cls.split, teacher_file(options.protocol, cls.protocol))

    @classmethod
    def make(cls, run: Run) -> str:
        """Makes a run, and says what came out; one whose loss is not finite has no file."""
        try:
            result = train(run, cls.protocol, cls.split, cls.teacher, cls.options.work / cls.options.protocol)
        except FloatingPointError as error:
            return f"{run.name}: {error}"
        finally:
            gc.collect()  # The models of a run and their compiled steps refer to one another.
        save(result, run, results_of(cls.options.protocol))
        return f"{run.name}: {result['test']['last epoch']} % in {result['seconds']} s"


def protocol_of(options: argparse.Namespace) -> Protocol:
    """The protocol, with what the command line changes of it."""
    changes = {name: getattr(options, name) for name in ("teacher", "student") if getattr(options, name)}
    return dataclasses.replace(PROTOCOLS[options.protocol], **changes)


def runs_of(options: argparse.Namespace) -> list[Run]:
    """The runs that are asked for, seed by seed."""
    if options.command == "study":
        rows = [row for name in options.lists for row in LISTS[name]]
    else:
        rows = [Run(options.plan, **{name: getattr(options, name) for name in OPTIONS})]
    return [dataclasses.replace(row, seed=seed) for seed in options.seeds for row in dict.fromkeys(rows)]


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", help="an npz file of CIFAR-100")
    common.add_argument("--protocol", choices=PROTOCOLS, default="desk")
    common.add_argument("--seeds", type=int, nargs="*", default=list(range(5)))
    common.add_argument("--teacher", help="in place of the protocol's")
    common.add_argument("--student", help="in place of the protocol's")
    common.add_argument("--work", type=pathlib.Path, default=pathlib.Path("runs/cifar100"))
    common.add_argument("--workers", type=int, default=1, help="processes")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    study = commands.add_parser("study", parents=[common])
    study.add_argument("lists", nargs="+", choices=LISTS)
    single = commands.add_parser("run", parents=[common])
    single.add_argument("plan", help='such as "FitNet > KD", "FitNet + 0.5 * KD" or "alone"')
    for field in dataclasses.fields(Run):
        if field.name in OPTIONS and field.type is not bool:
            single.add_argument(f"--{field.name}", type=field.type, default=field.default)
    single.add_argument("--no-restart", dest="restart", action="store_false", help="let the learning rate fall once")
    return parser.parse_args()


def main() -> None:
    """Makes all runs that are not there yet."""
    options = arguments()
    done = results_of(options.protocol)
    runs = [run for run in runs_of(options) if not (done / f"{run.name}.json").exists()]
    Worker.begin(options)  # Trains the teacher, if need be.
    if options.workers > 1:
        os.environ.update(dict.fromkeys(THREADS, "1"))
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(options.workers, context, Worker.begin, (options,)) as pool:
        for number, said in enumerate(pool.map(Worker.make, runs), start=1):
            print(f"{number} of {len(runs)}  {said}", flush=True)


if __name__ == "__main__":
    main()
