"""What a fixed number of augmented views costs in accuracy and saves in time, next to a new view in every epoch.

    KERAS_BACKEND=torch python -m benchmarks.views --data cifar100.npz

A ResNet-20 that was trained on CIFAR-100 teaches ResNet-8 students by KD: with a cache of 1, 2,
4, 8, ... views (0 for the images as they are), online with new views in every epoch, and the student alone. All crops
and flips are made by the same function. Reports the test accuracy of the last epoch and the seconds of a run, cache
building included, for each seed.
Writes benchmarks/views.json. `--data` is a file as Keras writes it; without it Keras downloads CIFAR-100.
"""

import argparse
import pathlib
import time

import keras

import keras_smskd as smskd
from benchmarks.data import Data, NewViews, cifar100, cropped_and_flipped
from benchmarks.training import accuracy, label_loss
from benchmarks.turns import Row, save, show
from benchmarks.zoo.resnet import residual

BATCH_SIZE = 128


def compiled(model: keras.Model, samples: int, epochs: int) -> keras.Model:
    """Compiles a student, a teacher or a distiller by the field's optimizer, with a learning rate that falls to 0."""
    rate = keras.optimizers.schedules.CosineDecay(0.1, epochs * (samples // BATCH_SIZE))
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4)
    model.compile(optimizer, label_loss(), metrics=["accuracy"])
    return model


def fit_online(model: keras.Model, data: Data, epochs: int, seed: int) -> None:
    """Trains on new views."""
    (x, y), _ = data
    dataset = NewViews(x, y, BATCH_SIZE, seed)
    begin = keras.callbacks.LambdaCallback(on_epoch_begin=dataset.begin)
    model.fit(dataset, epochs=epochs, callbacks=[begin], shuffle=False, verbose=0)


def teacher_of(data: Data, epochs: int, file: pathlib.Path) -> keras.Model:
    """The trained teacher, from a file if it was trained before."""
    if file.exists():
        return keras.models.load_model(file)
    teacher = compiled(residual(3), len(data[0][0]), epochs)
    fit_online(teacher, data, epochs, seed=0)
    teacher.save(file)
    return teacher


def measured(kind: str, teacher: keras.Model, data: Data, epochs: int, seed: int) -> Row:
    """Accuracy and seconds of a student."""
    keras.utils.set_random_seed(seed)
    (x, y), test = data
    distiller = compiled(smskd.KDDistiller(teacher, residual(1)), len(x), epochs)
    start = time.perf_counter()
    if kind == "online":
        fit_online(distiller, data, epochs, seed)
    elif kind == "alone":
        fit_online(compiled(distiller.student, len(x), epochs), data, epochs, seed)
    else:
        views = {"views": int(kind), "augment": cropped_and_flipped, "seed": seed} if int(kind) else {}
        distiller.fit(x, y, batch_size=BATCH_SIZE, epochs=epochs, cache=smskd.Cache(**views), verbose=0)
    seconds = time.perf_counter() - start
    return {"accuracy": accuracy(distiller.student, data[1]), "seconds": round(seconds, 1)}


def main() -> None:
    """Measures all kinds of views."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--teacher", type=pathlib.Path, default=pathlib.Path("teacher.keras"))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--kinds", nargs="*", default=["alone", "online", "0", "1", "2", "4", "8", "16"])
    options = parser.parse_args()
    data = cifar100(options.data)
    teacher = teacher_of(data, options.epochs, options.teacher)
    save(__file__, {"teacher": {"accuracy": accuracy(teacher, data[1])}})
    for kind in options.kinds:
        for seed in options.seeds:
            row = measured(kind, teacher, data, options.epochs, seed)
            rows = {f"{kind}, {options.epochs} epochs, seed {seed}": row}
            save(__file__, rows)
            show("Views", rows)


if __name__ == "__main__":
    main()
