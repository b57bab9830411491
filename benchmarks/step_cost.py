"""What a training step of every method costs, relative to one of KD on the same models.

    KERAS_BACKEND=tensorflow python -m benchmarks.step_cost

Writes benchmarks/step_cost.json, which the Methods page shows; runs on other backends add to it. A ResNet-20 teaches a
ResNet-8 on random images of CIFAR-100's size, methods for transformers a transformer of four blocks one of two. Each
method takes turns with KD, a few steps each; its cost is the ratio of the processor time of the fastest turns. KD's own
says how exact that is.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np

import keras_smskd as smskd
from benchmarks.every_method import METHODS, OF_TRANSFORMERS, make
from benchmarks.models import residual, transformer

FILE = pathlib.Path(__file__).with_suffix(".json")
SAMPLES, BATCH_SIZE = 256, 64


def models(method: str) -> tuple[keras.Model, keras.Model]:
    """Builds the teacher and the student for a method."""
    if method in OF_TRANSFORMERS:
        return transformer(4, 64), transformer(2, 32)
    teacher, student = residual(3), residual(1)
    if method == "SimKD":
        student = smskd.reuse_classifier(teacher, student, layers={"stage3": "stage3"})
    return teacher, student


def compiled(method: str, teacher: keras.Model, student: keras.Model) -> smskd.Distiller:
    """Makes a distiller that is ready to train."""
    distiller = make(method, teacher, student, SAMPLES, BATCH_SIZE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.SGD(0.001, momentum=0.9), loss)
    return distiller


def cost(method: str, x: np.ndarray, y: np.ndarray, rounds: int) -> float:
    """Measures the cost of a method."""
    teacher, student = models(method)
    distillers = [compiled("KD", *models("KD" if method == "SimKD" else method)), compiled(method, teacher, student)]
    for distiller in distillers:
        distiller.fit(x, y, batch_size=BATCH_SIZE, verbose=0)
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        for distiller, turns in zip(distillers, seconds, strict=True):
            start = time.process_time()
            distiller.fit(x, y, batch_size=BATCH_SIZE, verbose=0)
            turns.append(time.process_time() - start)
    of_kd, of_method = map(min, seconds)
    return of_method / of_kd


def main() -> None:
    """Measures all methods and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    x = generator.normal(size=(SAMPLES, 32, 32, 3)).astype("float32")
    y = generator.integers(0, 100, SAMPLES)
    costs = json.loads(FILE.read_text()) if FILE.exists() else {}
    for method in options.methods:
        keras.utils.set_random_seed(0)
        costs.setdefault(keras.backend.backend(), {})[method] = round(cost(method, x, y, options.rounds), 2)
        print(method, costs[keras.backend.backend()][method], flush=True)
        FILE.write_text(json.dumps(costs, indent=1, sort_keys=True) + "\n")
        keras.utils.clear_session(free_memory=True)


if __name__ == "__main__":
    main()
