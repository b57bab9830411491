"""One run, from a protocol and a plan to a file of results."""

import dataclasses
import json
import pathlib
import time
from typing import Any

import keras
import numpy as np

import keras_smskd as smskd
from benchmarks.data import Images, NewViews, cropped_and_flipped, reduced
from benchmarks.study.clock import Clock
from benchmarks.study.methods import FACTORS
from benchmarks.study.plan import ALONE, Run, sequence_of
from benchmarks.study.protocol import Protocol
from benchmarks.study.schedule import optimizer, rates_of
from benchmarks.training import accuracy, label_loss
from benchmarks.turns import machine, versions
from benchmarks.zoo import build

CONFLICT = 256
"""Number of training images on which the angles between gradients are measured."""

PARTS = ("student", "teacher", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Split:
    """The images of a protocol."""

    student: Images
    teacher: Images
    validation: Images
    test: Images


def split_of(protocol: Protocol, data: tuple[Images, Images]) -> Split:
    """Takes the images of a protocol; those for validation from the end of the training images."""
    (x, y), (x_test, y_test) = data
    x, x_test = (reduced(images, protocol.image_size) for images in (x, x_test))
    parts = [slice(protocol.images), slice(protocol.teacher_images), slice(len(x) - protocol.validation_images, None)]
    return Split(*((x[part], y[part]) for part in parts), (x_test, y_test))


def fit_alone(model: keras.Model, protocol: Protocol, split: Split, of: str, callbacks: list[Any]) -> None:
    """Trains a teacher or a student from the labels alone."""
    x, y = getattr(split, of)
    epochs = protocol.teacher_epochs if of == "teacher" else protocol.epochs
    model.compile(optimizer(protocol, rates_of(protocol, epochs), len(x)), label_loss(), metrics=["accuracy"])
    views = protocol.views if of == "student" else None
    data = NewViews(x, y, protocol.batch_size, seed=0, views=views)
    begin = keras.callbacks.LambdaCallback(on_epoch_begin=data.begin)
    callbacks = [begin, *callbacks]
    model.fit(data, validation_data=split.validation, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=0)


def teacher_of(protocol: Protocol, split: Split, file: pathlib.Path) -> keras.Model:
    """The trained teacher, from a file of its weights in float16, which is written when it is trained first."""
    is_new = not file.exists()
    if is_new:
        keras.utils.set_random_seed(0)
        teacher = build(protocol.teacher, protocol.image_size)
        say = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print("teacher", epoch, logs, flush=True))
        fit_alone(teacher, protocol, split, "teacher", [say])
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, *(weight.astype("float16") for weight in teacher.get_weights()))
    teacher, arrays = build(protocol.teacher, protocol.image_size), np.load(file)
    teacher.set_weights([arrays[name].astype("float32") for name in arrays.files])
    if is_new:
        facts = {f"{part} images": accuracy(teacher, getattr(split, part)) for part in PARTS}
        file.with_suffix(".json").write_text(json.dumps(facts) + "\n")
    return teacher


def train(run: Run, protocol: Protocol, split: Split, teacher: keras.Model, work: pathlib.Path) -> dict[str, Any]:
    """Trains a student, and returns what it reached; the test images are read once, at the end."""
    protocol = dataclasses.replace(protocol, epochs=run.epochs or protocol.epochs)
    keras.utils.set_random_seed(run.seed)
    student = build(protocol.student, protocol.image_size)
    clock, measured = Clock(student), {}
    start = time.perf_counter()
    if run.plan == ALONE:
        fit_alone(student, protocol, split, "student", [clock])
    else:
        measured = fit_by_teacher(run, protocol, split, (teacher, student), work, clock)
    seconds = time.perf_counter() - start
    last = accuracy(student, split.test)
    student.set_weights(clock.best)
    return {
        "run": dataclasses.asdict(run),
        "protocol": dataclasses.asdict(protocol),
        "factors": FACTORS,
        "test": {"last epoch": last, "best epoch": accuracy(student, split.test)},
        "validation": clock.accuracy,
        "processor seconds": clock.seconds,
        **measured,
        "seconds": round(seconds, 1),
        "versions": {"keras_smskd": smskd.__version__, **versions()},
        "machine": machine(),
    }


def fit_by_teacher(
    run: Run,
    protocol: Protocol,
    split: Split,
    models: tuple[keras.Model, keras.Model],
    work: pathlib.Path,
    clock: Clock,
) -> dict[str, Any]:
    """Trains a student by a plan, and returns what it forgot and what fought; one that was cut off goes on."""
    sequence = sequence_of(run, protocol, *models)
    sequence.compile("sgd", label_loss(), metrics=["accuracy"])
    x, y = split.student
    batch = {"inputs": x[:CONFLICT], "index": np.arange(len(x))[:CONFLICT]}
    conflict = smskd.callbacks.GradientConflict(batch, y[:CONFLICT], threshold=-1.0)
    report = smskd.callbacks.ForgettingReport(split.validation, protocol.batch_size)
    callbacks = [clock, conflict, report]
    common = {"validation_data": split.validation, "seed": run.seed, "verbose": 0, "callbacks": callbacks}
    if protocol.views:
        sequence.fit(x, y, batch_size=protocol.batch_size, cache=cache_of(protocol, work), **common)
    else:
        data = NewViews(x, y, protocol.batch_size, seed=0)
        callbacks.insert(0, keras.callbacks.LambdaCallback(on_epoch_begin=data.begin))
        sequence.fit(data, shuffle=False, backup_dir=work / "runs" / run.name, **common)
    logs = sequence.history.history
    cosines = {name: np.round(values, 4).tolist() for name, values in logs.items() if name.startswith("cosine")}
    return {"cosines": cosines, "forgetting": np.round(report.matrix, 6).tolist()}


def cache_of(protocol: Protocol, work: pathlib.Path) -> smskd.Cache:
    """What the teacher knows of the views, kept for all runs."""
    return smskd.Cache(work / "cache", dtype="float16", views=protocol.views, augment=cropped_and_flipped)


def save(result: dict[str, Any], run: Run, results: pathlib.Path) -> None:
    """Writes the file of a run."""
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{run.name}.json").write_text(json.dumps(result) + "\n")
