"""What a training step costs: of every method relative to its ideal step and to KD, and of what a stage adds.

    KERAS_BACKEND=tensorflow python -m benchmarks.step_cost

A ResNet-20 teaches a ResNet-8 on random images of CIFAR-100's size, methods for transformers a transformer of four
blocks one of two. The ideal step is written by hand (`benchmarks.ideal`). A method, its ideal step and KD take turns,
a few steps each. Writes benchmarks/step_cost.json, which the Methods page shows.
"""

import argparse

import keras
import numpy as np

import keras_smskd as smskd
from benchmarks.every_method import METHODS, OF_TRANSFORMERS, make
from benchmarks.ideal import Ideal
from benchmarks.models import transformer
from benchmarks.training import BATCH_SIZE, epoch_of, noise
from benchmarks.turns import milliseconds, ratio, save, show, take_turns
from benchmarks.zoo.resnet import residual
from keras_smskd.reference import Reference


def models(method: str) -> tuple[keras.Model, keras.Model]:
    """Builds the teacher and the student for a method."""
    if method in OF_TRANSFORMERS:
        return transformer(4, 64), transformer(2, 32)
    teacher, student = residual(3), residual(1)
    if method == "SimKD":
        student = smskd.reuse_classifier(teacher, student, layers={"stage3": "stage3"})
    return teacher, student


def distiller(method: str, of_models: str | None = None, samples: int = 0) -> smskd.Distiller:
    """Makes the distiller of a method, on the models of another one if asked for."""
    return make(method, *models(of_models or method), samples, BATCH_SIZE)


def with_reference() -> smskd.Distiller:
    """Makes KD as a second stage has it."""
    second = distiller("KD")
    second.attach_reference(Reference(second.student))
    return second


def of_method(method: str, x: np.ndarray, y: np.ndarray, rounds: int) -> dict[str, float]:
    """Measures a method."""
    runs = {
        "method": epoch_of(distiller(method, samples=len(x)), x, y),
        "ideal": epoch_of(Ideal(distiller(method, samples=len(x))), x, y),
        "KD": epoch_of(distiller("KD", of_models=None if method == "SimKD" else method), x, y),
    }
    seconds = take_turns(runs, rounds)
    of_ideal, of_kd = ratio(seconds, "method", "ideal"), ratio(seconds, "method", "KD")
    return {
        **{f"of ideal, {name}": value for name, value in of_ideal.items()},
        **{f"of KD, {name}": value for name, value in of_kd.items()},
        "milliseconds": milliseconds(seconds, "method", len(x) // BATCH_SIZE),
    }


def of_stages(x: np.ndarray, y: np.ndarray, rounds: int) -> dict[str, dict[str, float]]:
    """Measures what else a step is made of, relative to the student alone."""
    teacher, student = models("KD")
    joint = smskd.JointDistiller([make(method, teacher, student, len(x), BATCH_SIZE) for method in ("KD", "SP", "AT")])
    runs = {
        "student alone": epoch_of(models("KD")[1], x, y),
        "ideal KD": epoch_of(Ideal(distiller("KD")), x, y),
        "KD": epoch_of(distiller("KD"), x, y),
        "KD with a reference": epoch_of(with_reference(), x, y),
        "KD, SP and AT joined": epoch_of(joint, x, y),
    }
    seconds = take_turns(runs, rounds)
    return {
        f"({name})": {
            **{f"of student alone, {clock}": value for clock, value in ratio(seconds, name, "student alone").items()},
            "milliseconds": milliseconds(seconds, name, len(x) // BATCH_SIZE),
        }
        for name in runs
    }


def main() -> None:
    """Measures all methods, a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    options = parser.parse_args()
    x, y = noise(options.samples)
    rows = of_stages(x, y, options.rounds)
    save(__file__, rows)
    show("Cost of a step", rows)
    for method in options.methods:
        keras.utils.clear_session(free_memory=True)
        keras.utils.set_random_seed(0)
        row = of_method(method, x, y, options.rounds)
        save(__file__, {method: row})
        show("Cost of a step", {method: row})


if __name__ == "__main__":
    main()
