"""How the cost of a step grows: with the batch, the student's width, the taps, the stages before it, the classes.

    KERAS_BACKEND=tensorflow python -m benchmarks.scaling

A ResNet-20 teaches a ResNet-8 unless a question needs others. Every point is measured next to the student alone with
the same batch, width and classes. Writes benchmarks/scaling.json.
"""

import argparse
import functools
from collections.abc import Callable, Iterator

import keras

import keras_smskd as smskd
from benchmarks.training import BATCH_SIZE, epoch_of, noise
from benchmarks.turns import Row, milliseconds, ratio, save, show, take_turns
from benchmarks.zoo.resnet import WIDTHS, residual

POOL = {"layers": {"pool": "pool"}}

Point = dict[str, Callable[[], object]]


def run_of(model: keras.Model, steps: int, batch_size: int = BATCH_SIZE, classes: int = 100) -> Callable[[], object]:
    """Some steps of training."""
    return epoch_of(model, *noise(steps * batch_size, classes), batch_size)


def batch_size(size: int, steps: int) -> Point:
    """KD, SP and RKD against the samples of a batch."""
    methods = {
        "KD": smskd.KDDistiller,
        "SP": functools.partial(smskd.SPDistiller, **POOL),
        "RKD": functools.partial(smskd.RKDDistiller, **POOL),
        "RKD, one by one": functools.partial(smskd.RKDDistiller, **POOL, one_by_one=True),
    }
    runs = {name: run_of(make(residual(3), residual(1)), steps, size) for name, make in methods.items()}
    return {"alone": run_of(residual(1), steps, size), **runs}


def width(factor: int, steps: int) -> Point:
    """KD against the student's width."""
    widths = tuple(factor * width for width in WIDTHS)
    distiller = smskd.KDDistiller(residual(3), residual(1, widths))
    return {"alone": run_of(residual(1, widths), steps), "KD": run_of(distiller, steps)}


def taps(number: int, steps: int) -> Point:
    """AT against the number of layers that are read, on students of 20 layers."""
    teacher, student = residual(3), residual(3)
    names = [
        [layer.name for layer in model.layers if isinstance(layer, keras.layers.ReLU)] for model in (teacher, student)
    ]
    pairs = dict(list(zip(*names, strict=True))[:number])
    distiller = smskd.ATDistiller(teacher, student, layers=pairs)
    return {"alone": run_of(residual(3), steps), "AT": run_of(distiller, steps)}


def stages(number: int, steps: int) -> Point:
    """KD as the last of so many stages."""
    teacher, student = residual(3), residual(1)
    sequence = smskd.SequentialDistiller([smskd.KDDistiller(teacher, student) for _ in range(number)])
    run_of(sequence, steps)()
    last = sequence.stages[-1].distiller
    return {"alone": run_of(residual(1), steps), "KD": run_of(last, steps)}


def classes(number: int, steps: int) -> Point:
    """KD with a reference against the number of classes."""
    teacher, student = residual(3, classes=number), residual(1, classes=number)
    distiller = smskd.KDDistiller(teacher, student)
    distiller.attach_reference(smskd.reference.Reference(student))
    return {
        "alone": run_of(residual(1, classes=number), steps, classes=number),
        "KD": run_of(distiller, steps, classes=number),
    }


QUESTIONS = {
    batch_size: (16, 32, 64, 128, 256),
    width: (1, 2, 4),
    taps: (1, 3, 9, 19),
    stages: (1, 2, 4, 8),
    classes: (10, 100, 1000, 10000),
}


def measured(question: Callable[[int, int], Point], value: int, steps: int, rounds: int) -> Iterator[tuple[str, Row]]:
    """Measures a point of a question."""
    keras.utils.clear_session(free_memory=True)
    keras.utils.set_random_seed(0)
    seconds = take_turns(question(value, steps), rounds)
    title = question.__name__.replace("_", " ")
    for name in seconds:
        row = {**ratio(seconds, name, "alone"), "milliseconds": milliseconds(seconds, name, steps)}
        yield f"{title} {value}: {name}", row


def main() -> None:
    """Measures all points of all questions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--questions", nargs="*", default=[question.__name__ for question in QUESTIONS])
    options = parser.parse_args()
    for question, values in QUESTIONS.items():
        for value in values if question.__name__ in options.questions else ():
            rows = dict(measured(question, value, options.steps, options.rounds))
            save(__file__, rows)
            show("Relative to the student alone", rows)


if __name__ == "__main__":
    main()
