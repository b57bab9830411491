"""Quickstart: every method of keras_smskd on scikit-learn's handwritten digits, in one table.

    pip install ".[tensorflow,examples]"
    python examples/quickstart.py

A convolutional teacher learns from 400 images. A student of 1.5 % of its size learns from 200 others, which the teacher
has not seen: alone, by each single method, by three methods jointly, and by the same three one after another (SMSKD).
All students of a seed start from the same weights and train for as many epochs, while the learning rate falls along one
line from the same value to 0, across all stages of SMSKD too. The settings were chosen on validation images
(`--split validation`), never on the test images. Accuracies are those of the last epoch; the seconds of SMSKD include
the writing of its logs. Few images and epochs keep it quick: this shows how to compare, not which method is best.
"""

import argparse
import os
import time
from collections.abc import Iterator

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_smskd as smskd

IMAGES = {"test": 900, "teacher": 400, "student": 200}  # The other 297 are the validation images.
BATCH_SIZE = 25
TEACHER_EPOCHS, TEACHER_RATE = 30, 0.003
STUDENT_EPOCHS, STUDENT_RATE = 90, 0.02

Data = tuple[np.ndarray, np.ndarray]


def load_data() -> dict[str, Data]:
    """Splits the 1,797 digits, grey images of 8 x 8, in the same way for every seed."""
    digits = load_digits()
    images, labels = (digits.images[..., None] / 16).astype("float32"), digits.target.astype("int32")
    data = {}
    for name, size in IMAGES.items():
        images, part, labels, part_labels = train_test_split(
            images, labels, test_size=size, stratify=labels, random_state=0
        )
        data[name] = (part, part_labels)
    return {**data, "validation": (images, labels)}


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


# The methods.

MAPS, LAST = {"maps": "maps"}, {"embedding": "embedding"}
SINGLE = {
    "KD": lambda teacher, student: smskd.KDDistiller(teacher, student, temperature=4.0),
    "DKD": lambda teacher, student: smskd.DKDDistiller(teacher, student, beta=2.0),
    "FitNet": lambda teacher, student: smskd.FitNetDistiller(teacher, student, layers=LAST, distillation_weight=1.0),
    "AT": lambda teacher, student: smskd.ATDistiller(teacher, student, layers=MAPS, distillation_weight=10.0),
    "SP": lambda teacher, student: smskd.SPDistiller(teacher, student, layers=LAST, distillation_weight=100.0),
    "RKD": lambda teacher, student: smskd.RKDDistiller(teacher, student, layers=LAST),
}
COMBINED = ["FitNet", "KD", "RKD"]


def make_model(name: str, teacher: keras.Model, student: keras.Model, epochs: int) -> keras.Model:
    """Makes what trains the student: a distiller, or the student itself without a teacher ("alone")."""
    if name == "alone":
        return student
    if name in SINGLE:
        return SINGLE[name](teacher, student)
    distillers = [SINGLE[method](teacher, student) for method in COMBINED]
    if name == "joint":
        return smskd.JointDistiller(distillers)
    epochs //= len(COMBINED)
    rates = np.linspace(STUDENT_RATE, 0, len(COMBINED) + 1).tolist()  # Each stage goes on where the last one ended.
    stages = [
        smskd.Stage(distiller, epochs, optimizer=adam(rates[i], rates[i + 1], epochs * IMAGES["student"]))
        for i, distiller in enumerate(distillers)
    ]
    return smskd.SequentialDistiller(stages, reference_weight=1.0)


# The training.


def adam(start: float, end: float, images: int) -> keras.optimizers.Adam:
    """Makes an optimizer whose learning rate falls from `start` to `end` along a line, while it sees so many images."""
    return keras.optimizers.Adam(keras.optimizers.schedules.PolynomialDecay(start, images // BATCH_SIZE, end))


def train(model: keras.Model, data: Data, rate: float, epochs: int, callbacks: list[keras.callbacks.Callback]) -> None:
    """Trains a model, or the student of a distiller."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=adam(rate, 0.0, epochs * len(data[0])), loss=loss, metrics=["accuracy"])
    if isinstance(model, smskd.SequentialDistiller):
        epochs = None  # Its stages have epochs and optimizers of their own.
    model.fit(*data, batch_size=BATCH_SIZE, epochs=epochs, verbose=0, callbacks=callbacks)


def accuracy(model: keras.Model, data: Data) -> float:
    """Computes how many of the images a model classifies right, in percent."""
    logits = keras.ops.convert_to_numpy(model(data[0], training=False))
    return 100 * float(np.mean(np.argmax(logits, axis=-1) == data[1]))


def run(seed: int, data: dict[str, Data], epochs: int, log_dir: str) -> Iterator[tuple[str, keras.Model, float]]:
    """Trains a teacher and all students; yields the name of each, the trained model and the seconds it took."""
    start = time.perf_counter()
    keras.utils.set_random_seed(seed)
    teacher = make_teacher()
    train(teacher, data["teacher"], TEACHER_RATE, TEACHER_EPOCHS, [])
    yield "teacher", teacher, time.perf_counter() - start
    for name in ["alone", *SINGLE, "joint", "SMSKD"]:
        start = time.perf_counter()
        keras.utils.set_random_seed(seed)  # The same initial weights for every method.
        student = make_student()
        model = make_model(name, teacher, student, epochs)
        logs = [smskd.callbacks.DistillationTensorBoard(log_dir, {"seed": seed})] if name == "SMSKD" else []
        train(model, data["student"], STUDENT_RATE, epochs, logs)
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
    place = f"the best student, {lead:.1f} points above" if lead > 0 else f"not the best, {-lead:.1f} points below"
    noise = 2 * (means["SMSKD"] * (100 - means["SMSKD"]) / images) ** 0.5
    seeds = len(results["SMSKD"]["accuracy"])
    return (
        f"Over {seeds} seed{'s' * (seeds > 1)}, the student alone reaches {means['alone']:.1f} %, "
        f"by SMSKD {means['SMSKD']:.1f} % ({means['SMSKD'] - means['alone']:+.1f} points): {place} {best}, the best of "
        f"the others; {images} images cannot tell differences below some {noise:.1f} points from chance."
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
