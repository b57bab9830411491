"""Quickstart: every method of keras_smskd on scikit-learn's handwritten digits, in one table.

    pip install "keras_smskd[examples]"
    python examples/quickstart.py

A convolutional teacher learns from 200 images. A student of a hundredth of its size learns from the same images: alone,
by each single method, by three methods jointly, and by the same three one after another (SMSKD). All students of a
seed start from the same weights and train for as many epochs with the same optimizer. The settings were chosen on the
validation images (`--split validation`), not on the test images. Accuracies are those of the last epoch.
"""

import argparse
import os
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_smskd as smskd

TRAINING_IMAGES = 200
BATCH_SIZE = 50
TEACHER_EPOCHS, TEACHER_RATE = 60, 0.003
STUDENT_EPOCHS, STUDENT_RATE = 90, 0.02

Data = tuple[np.ndarray, np.ndarray]


# The data: 8 x 8 grey images of ten digits. Few of them are for training, so that a teacher can help.


def load_data() -> dict[str, Data]:
    """Splits the 1,797 digits into training, validation and test images, the same for every seed."""
    digits = load_digits()
    images, labels = (digits.images[..., None] / 16).astype("float32"), digits.target.astype("int32")
    rest, test, rest_labels, test_labels = train_test_split(
        images, labels, test_size=900, stratify=labels, random_state=0
    )
    train, validation, train_labels, validation_labels = train_test_split(
        rest, rest_labels, train_size=TRAINING_IMAGES, stratify=rest_labels, random_state=0
    )
    return {
        "train": (train, train_labels),
        "validation": (validation, validation_labels),
        "test": (test, test_labels),
    }


# The models: both end in logits. Named layers are those whose features a method compares.


def make_teacher() -> keras.Model:
    """Builds the teacher."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(name="maps"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(64, activation="relu", name="embedding"),
            layers.Dropout(0.4),
            layers.Dense(10),
        ],
        name="teacher",
    )


def make_student() -> keras.Model:
    """Builds the student."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="maps"),
            layers.MaxPooling2D(),
            layers.Flatten(name="embedding"),
            layers.Dense(10),
        ],
        name="student",
    )


# The methods: each makes what trains the student. "alone" is the student itself, without a teacher.

MAPS, EMBEDDING = {"maps": "maps"}, {"embedding": "embedding"}
SINGLE = {
    "KD": lambda teacher, student: smskd.KDDistiller(teacher, student, temperature=4.0),
    "DKD": lambda teacher, student: smskd.DKDDistiller(teacher, student, beta=2.0),
    "FitNet": lambda teacher, student: smskd.FitNetDistiller(teacher, student, layers=MAPS, distillation_weight=1.0),
    "AT": lambda teacher, student: smskd.ATDistiller(teacher, student, layers=MAPS, distillation_weight=100.0),
    "SP": lambda teacher, student: smskd.SPDistiller(teacher, student, layers=EMBEDDING, distillation_weight=100.0),
    "RKD": lambda teacher, student: smskd.RKDDistiller(teacher, student, layers=EMBEDDING),
}
COMBINED = ["FitNet", "KD", "RKD"]


def make_joint(teacher: keras.Model, student: keras.Model) -> smskd.JointDistiller:
    """Makes a distiller of three methods at once."""
    return smskd.JointDistiller([SINGLE[name](teacher, student) for name in COMBINED])


def make_sequence(teacher: keras.Model, student: keras.Model) -> smskd.SequentialDistiller:
    """Makes a distiller of the same three methods, one stage after another."""
    stages = [smskd.Stage(SINGLE[name](teacher, student)) for name in COMBINED]
    return smskd.SequentialDistiller(stages, reference_weight=1.0)


STUDENTS = {"alone": lambda teacher, student: student, **SINGLE, "joint": make_joint, "SMSKD": make_sequence}


# The training: the same for all.


def train(model: keras.Model, data: Data, learning_rate: float, epochs: int, **kwargs: Any) -> None:
    """Trains a model, or the student of a distiller; the learning rate falls to 0 within the epochs (of each stage)."""
    steps = epochs * -(-len(data[0]) // BATCH_SIZE)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    model.fit(*data, batch_size=BATCH_SIZE, epochs=epochs, verbose=0, **kwargs)


def accuracy(model: keras.Model, data: Data) -> float:
    """Computes how many of the images a model classifies right, in percent."""
    logits = keras.ops.convert_to_numpy(model(data[0], training=False))
    return 100 * float(np.mean(np.argmax(logits, axis=-1) == data[1]))


def run(seed: int, data: dict[str, Data], epochs: int, log_dir: str) -> Iterator[tuple[str, keras.Model, float]]:
    """Trains a teacher and all students; yields the name of each, the trained model and the seconds it took."""
    start = time.perf_counter()
    keras.utils.set_random_seed(seed)
    teacher = make_teacher()
    train(teacher, data["train"], TEACHER_RATE, TEACHER_EPOCHS)
    yield "teacher", teacher, time.perf_counter() - start
    for name, make in STUDENTS.items():
        start = time.perf_counter()
        keras.utils.set_random_seed(seed)  # the same initial weights and the same order of images for every method
        student = make_student()
        options = {"epochs": epochs}
        if name == "SMSKD":
            logs = smskd.callbacks.DistillationTensorBoard(log_dir, hparams={"seed": seed})
            options = {"epochs": epochs // len(COMBINED), "callbacks": [logs], "validation_data": data["validation"]}
        train(make(teacher, student), data["train"], STUDENT_RATE, **options)
        yield name, student, time.perf_counter() - start


# The report.


def cell(values: list[float]) -> str:
    """Formats the mean, and the standard deviation over seeds where there are several."""
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


def table(results: dict[str, dict[str, list[float]]], split: str) -> str:
    """Formats the results, one row for each model."""
    lines = [f"{'':8}{split + ' accuracy %':>22}{'parameters':>14}{'seconds':>14}"]
    for name, row in results.items():
        lines.append(f"{name:8}{cell(row['accuracy']):>22}{row['parameters'][0]:>14,}{cell(row['seconds']):>14}")
    return "\n".join(lines)


def verdict(results: dict[str, dict[str, list[float]]], images: int) -> str:
    """Says in one sentence what was measured."""
    means = {name: float(np.mean(row["accuracy"])) for name, row in results.items()}
    others = {name: mean for name, mean in means.items() if name not in ("teacher", "SMSKD")}
    best = max(others, key=others.get)
    lead = means["SMSKD"] - means[best]
    place = "the best student" if lead > 0 else "not the best student"
    noise = 2 * (means["SMSKD"] * (100 - means["SMSKD"]) / images) ** 0.5
    seeds = len(results["SMSKD"]["accuracy"])
    return (
        f"Over {seeds} seed{'s' * (seeds > 1)} the student alone reaches {means['alone']:.1f} %, "
        f"by SMSKD {means['SMSKD']:.1f} % ({means['SMSKD'] - means['alone']:+.1f} points): {place}, {lead:+.1f} points "
        f"against {best}, the best of the others; {images} images cannot tell differences below some "
        f"{noise:.1f} points from chance."
    )


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="runs, each with its own teacher and initial weights")
    parser.add_argument("--epochs", type=int, default=STUDENT_EPOCHS, help="epochs of a student, all stages together")
    parser.add_argument("--split", choices=["test", "validation"], default="test", help="images to report on")
    parser.add_argument("--logs", default="logs", help="directory of the TensorBoard logs of SMSKD")
    parser.add_argument("--student", default="student.keras", help="file of the SMSKD student of the first seed")
    options = parser.parse_args()
    if options.epochs < 1 or options.epochs % len(COMBINED):
        parser.error(f"--epochs must be a multiple of {len(COMBINED)}, the number of stages")
    return options


def main() -> None:
    """Runs all seeds, prints the table and saves the student."""
    options = arguments()
    data = load_data()
    results: dict[str, dict[str, list[float]]] = {}
    for seed in range(options.seeds):
        for name, model, seconds in run(seed, data, options.epochs, os.path.join(options.logs, f"seed_{seed}")):
            row = results.setdefault(name, {"accuracy": [], "parameters": [], "seconds": []})
            row["accuracy"].append(accuracy(model, data[options.split]))
            row["parameters"].append(model.count_params())
            row["seconds"].append(seconds)
            print(f"seed {seed}: {name} trained in {seconds:.1f} s", flush=True)
            if name == "SMSKD" and seed == 0:
                model.save(options.student)
    print(f"\n{table(results, options.split)}\n\n{verdict(results, len(data[options.split][0]))}\n")
    print(f"The student of SMSKD: {options.student}\nIts logs: tensorboard --logdir {options.logs}")


if __name__ == "__main__":
    main()
