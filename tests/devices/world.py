"""What is trained on one device and on several, and how the two are compared, in processes of their own."""

import functools
import json
import os
import pathlib
import sys

import keras
import numpy as np

import keras_smskd as smskd
from keras_smskd.backup import files
from tests.models import CLASSES, dense, label_loss, vectors

X, Y = vectors(32)
WEIGHTS = np.random.default_rng(1).uniform(0, 2, 32)
PAIR = {"hidden": "hidden"}
WHOLE = slice(None)
DIRECTORY, LOGS, CACHE = "run", "logs", "cache"
"""Where all processes work."""


def models():
    keras.utils.set_random_seed(0)
    return dense(8), dense(6, kernel_regularizer="l2")


class ReadsInputs(smskd.Distiller):
    """Compares the outputs for a sample with the inputs of all."""

    def distillation_loss(self, teacher, student, y):
        of_all = keras.ops.mean({**student}["inputs"], axis=0)[:CLASSES]
        return keras.ops.mean((student["logits"] - of_all) ** 2, axis=-1)


def stages(teacher, student):
    """Losses of every sample alone, in two stages with a reference between them."""
    return [
        smskd.FitNetDistiller(teacher, student, layers=PAIR, distillation_weight=1.0),
        smskd.KDDistiller(teacher, student),
    ]


def relations(teacher, student):
    """Losses that compare the samples of a batch."""
    kinds = (smskd.RKDDistiller, smskd.SPDistiller, smskd.PKTDistiller)
    distillers = [kind(teacher, student, layers=PAIR) for kind in kinds]
    distillers += [smskd.CCDistiller(teacher, student, layers=PAIR, kernel="bilinear")]  # Without, the order counts.
    distillers += [smskd.DISTDistiller(teacher, student), ReadsInputs(teacher, student)]
    return [smskd.JointDistiller(distillers, weights=[1.0, 10.0, 100.0, 1.0, 1.0, 1.0])]


def contrasts(teacher, student):
    """A loss that has to know which sample is which."""
    return [smskd.CRDDistiller(teacher, student, layers=PAIR, samples=len(X), negatives=4)]


def both(teacher, student):
    """A stage of either kind."""
    return [stages(teacher, student)[0], *relations(teacher, student)]


def last_of(part):
    """The validation data of a process: the last quarter of its part."""
    return range(len(X))[part][-len(X[part]) // 4 :]


def uneven(part):
    """The last quarter of all, of which each process but the first has one sample."""
    rank, others = part.start or 0, (part.step or 1) - 1
    return range(len(X) - rank, len(X) - rank + 1) if rank else range(len(X) * 3 // 4, len(X) - others)


def trained(make=stages, part=WHOLE, gather=False, validation=None, **fit):
    """Trains on a part of every batch of 8; gives the student's weights and the history."""
    distiller = smskd.SequentialDistiller(make(*models()))
    compiled = {"gather": gather, "jit_compile": keras.backend.backend() == "jax"}
    distiller.compile(keras.optimizers.SGD(0.01, momentum=0.9), label_loss(), metrics=["accuracy"], **compiled)
    x, y, weights = X[part], Y[part], WEIGHTS[part]
    options = {"batch_size": len(x) // 4, "epochs": 2, "shuffle": False, "verbose": 0, **fit}
    if validation:
        options["validation_data"] = X[validation(part)], Y[validation(part)]
    history = distiller.fit(x, y, sample_weight=weights, **options)
    if keras.backend.backend() == "tensorflow":  # On JAX a process has a part of what is predicted.
        predicted = [model.predict(X, verbose=0) for model in (distiller.stages[-1].distiller, distiller.student)]
        np.testing.assert_allclose(*predicted, rtol=1e-4, atol=1e-6)
    return distiller.student.get_weights(), history.history


class Ends(keras.callbacks.Callback):
    """Ends a process, so to say, in the second stage of its training."""

    is_over = False

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3 and not self.is_over:
            raise KeyboardInterrupt


def resumed(**training):
    """A training that is ended and taken up again."""
    train = functools.partial(trained, backup_dir=DIRECTORY, **training)
    callbacks = [Ends(), smskd.callbacks.DistillationTensorBoard(LOGS)]
    try:
        train(callbacks=callbacks)
    except KeyboardInterrupt:
        Ends.is_over = True
        return train(callbacks=callbacks)
    raise AssertionError("It was not ended.")


def conflicting(**training):
    """A training by relations that takes the gradient of every term."""
    return trained(relations, callbacks=[smskd.callbacks.GradientConflict(X[:8], Y[:8], threshold=-1.0)], **training)


CASES = {
    "cache": functools.partial(trained, cache=True, validation=uneven),
    "shared_cache": functools.partial(trained, cache=CACHE, validation=last_of),
    "resumed": resumed,
    "gathered": functools.partial(trained, both, gather=True),
    "conflict": functools.partial(conflicting, gather=True),
    "apart": functools.partial(trained, relations),
}
"""What is trained on several devices."""

EXPECTED = {
    **dict.fromkeys(["cache", "shared_cache", "resumed"], functools.partial(trained, validation=last_of)),
    **dict.fromkeys(["conflict", "apart", "loop"], conflicting),
    "gathered": functools.partial(trained, both),
}
"""What it is compared with, on one."""


def one_device(names):
    """What is expected, by case."""
    once = functools.cache(lambda train: train())
    return {name: once(EXPECTED[name]) for name in names}


def several_devices(names, **of_process):
    """What comes out, by case."""
    return {name: CASES[name](**of_process) for name in names}


def report(expected, received):
    """Prints the largest differences of the weights and of every log, by case, of the only process that writes."""
    written_by = {int(file.suffixes[-2][1:]) for file in pathlib.Path(LOGS).glob("*/*")}
    assert written_by == ({os.getpid()} if "resumed" in received else set())
    print(json.dumps({name: compared(expected[name], received[name]) for name in received}))


def compared(expected, received):
    weights = max(_difference(*pair) for pair in zip(expected[0], received[0], strict=True))
    return {"weights": weights, **{log: _difference(expected[1][log], values) for log, values in received[1].items()}}


def _difference(expected, received):
    """The largest difference, of numbers above 1 in proportion."""
    apart = np.abs(np.subtract(expected, received)) / np.maximum(1.0, np.abs(expected))
    assert (np.isnan(expected) == np.isnan(received)).all()
    return float(np.nanmax(apart))


def part_of(rank, count):
    """The samples of one of several processes, which has no right to write what a run leaves."""
    if rank:
        files.write = files.lock = _refuse
    return slice(rank, None, count)


def _refuse(*arguments, **named):
    raise AssertionError("Another process writes, too.")


def run(main):
    """Runs a process of a test with the arguments that it was given."""
    main(**json.loads(sys.argv[1]))
