"""Runs that are kept in a directory go on to the same student after any end of their process."""

import collections
import contextlib
import csv
import json
import os
import resource
import subprocess
import sys

import filelock
import keras
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.backup.checkpoint import Checkpoint
from keras_smskd.backup.plain import decode, encode, is_plain
from tests.models import UNTRACED, assert_same_weights, convolutional, images, label_loss, weights_of

pytestmark = pytest.mark.compiles

X, Y = images(24)
FIT = {"batch_size": 8, "verbose": 0}


def sequence(seed=0, epochs=2, temperature=4.0, optimizer="adam", width=3):
    keras.utils.set_random_seed(7)
    teacher = convolutional(6)
    keras.utils.set_random_seed(seed)
    student = convolutional(width)
    stages = [
        smskd.Stage(smskd.FitNetDistiller(teacher, student, layers={"stage1": "stage1"}), epochs),
        smskd.Stage(smskd.KDDistiller(teacher, student, temperature=temperature), epochs),
    ]
    distiller = smskd.SequentialDistiller(stages)
    distiller.compile(optimizer, label_loss(), metrics=["accuracy"], **UNTRACED)
    return distiller


class EndError(Exception):
    """What ends a process."""


class EndsIn(keras.callbacks.Callback):
    def __init__(self, epoch, error=EndError):
        super().__init__()
        self.epoch, self.error = epoch, error
        self.seen = collections.deque()  # Nothing that a checkpoint would give back.

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(epoch)
        if epoch == self.epoch:
            raise self.error

    def on_train_batch_end(self, batch, logs=None):
        assert self.seen[-1] != self.epoch


def kept(directory, distiller=None, callback=None, **arguments):
    """Trains in a directory; returns the sequence."""
    distiller = distiller or sequence(seed=np.random.randint(1000))
    distiller.fit(X, Y, backup_dir=directory, seed=5, callbacks=[callback or EndsIn(-1)], **{**FIT, **arguments})
    return distiller


def ended(directory, epoch, **arguments):
    """Trains until the process ends in an epoch."""
    with pytest.raises(EndError):
        kept(directory, sequence(), EndsIn(epoch), **arguments)


@pytest.fixture(scope="module")
def expected():
    """The student of a run that nothing disturbed, without a directory."""
    distiller = sequence()
    distiller.fit(X, Y, seed=5, callbacks=[EndsIn(-1)], **FIT)
    return weights_of(distiller.student), distiller.history


@pytest.mark.slow
def test_processes_that_are_killed_at_any_moment():
    kills = "12" if keras.backend.backend() == "torch" else "4"  # The others trace their steps anew in every process.
    command = [sys.executable, "-m", "benchmarks.kill_test", "--kills", kills, "--seed", "1", "--dry"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1].split()[:6] == ["killed", *4 * [kills], "0"]


@pytest.mark.parametrize("epoch", range(4))
def test_a_run_goes_on_with_the_epoch_that_was_not_finished(tmp_path, expected, epoch):
    ended(tmp_path, epoch)
    callback = EndsIn(-1)
    distiller = kept(tmp_path, callback=callback)
    assert list(callback.seen) == list(range(epoch, 4))
    assert_same_weights(distiller.student, expected[0])
    assert distiller.history.epoch == [0, 1, 2, 3]
    assert [stage.name for stage in distiller.history.stages] == ["FitNet", "KD"]
    np.testing.assert_equal(distiller.history.history, expected[1].history)


class Numbered(keras.utils.PyDataset):
    """The same batches as those of the arrays, in order."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[8 * index : 8 * index + 8], Y[8 * index : 8 * index + 8]


class EndsAfter(keras.callbacks.Callback):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches
        self.seen = collections.deque()  # Nothing that a checkpoint would give back.

    def on_train_batch_begin(self, batch, logs=None):
        if len(self.seen) == self.batches:
            raise EndError

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(batch)


WITHIN = {"arrays, first epoch": (X, Y, 2), "arrays, later": (X, Y, 5), "dataset, later stage": (Numbered(), None, 8)}


@pytest.mark.parametrize(("x", "y", "batches"), WITHIN.values(), ids=WITHIN)
def test_an_epoch_goes_on_within(tmp_path, x, y, batches):
    fit = {"seed": 5, "batch_size": None if y is None else 8, "verbose": 0, "validation_data": (X, Y)}

    def run(directory, batches, seed):
        distiller, callback = sequence(seed), EndsAfter(batches)
        weight = smskd.callbacks.AdaptiveReferenceWeight("adaptive", target=0.99)
        distiller.fit(x, y, backup_dir=directory, backup_every=1, callbacks=[callback, weight], **fit)
        return distiller, callback

    whole, _ = run(tmp_path / "whole", None, seed=0)
    with pytest.raises(EndError):
        run(tmp_path / "ended", batches, seed=0)
    distiller, callback = run(tmp_path / "ended", None, seed=1)
    assert len(callback.seen) == 12 - batches
    assert_same_weights(distiller.student, weights_of(whole.student))
    np.testing.assert_equal(distiller.history.history, whole.history.history)


def test_batches_are_kept_of_data_that_can_begin_with_any():
    def batches():
        yield X, Y

    for x, message in ((batches(), "arrays, or a `PyDataset`"), (X, "`backup_dir`")):
        with pytest.raises(ValueError, match=f"`backup_every`.*{message}"):
            sequence().fit(x, Y if x is X else None, backup_dir="never" if x is not X else None, backup_every=2)
    distiller = sequence()
    distiller.compile("sgd", label_loss(), steps_per_execution=2)
    with pytest.raises(ValueError, match="`backup_every` .*`steps_per_execution=1`"):
        distiller.fit(X, Y, backup_dir="never", backup_every=2)


def test_a_run_that_is_over_is_not_trained_again(tmp_path, expected):
    kept(tmp_path, sequence())
    callback = EndsIn(-1)
    distiller = kept(tmp_path, callback=callback)
    assert not callback.seen
    assert_same_weights(distiller.student, expected[0])
    np.testing.assert_equal(distiller.history.history, expected[1].history)


def test_an_interrupt_ends_a_run_that_goes_on(tmp_path, expected):
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path, sequence(), EndsIn(2, KeyboardInterrupt))
    assert_same_weights(kept(tmp_path).student, expected[0])


def test_without_a_seed_one_is_drawn_and_kept(tmp_path):
    students = []
    for name in ("whole", "ended"):
        distiller = sequence()
        for epoch in (1, -1) if name == "ended" else (-1,):
            try:
                distiller.fit(X, Y, backup_dir=tmp_path / name, callbacks=[EndsIn(epoch)], **FIT)
            except EndError:
                distiller = sequence(seed=1)
        students.append(distiller.student)
    assert_same_weights(students[1], weights_of(students[0]))


def test_cached_runs_and_views_go_on(tmp_path):
    def cache():
        return smskd.Cache(views=2, augment=lambda x, seed: x + np.float32(seed % 7))

    for index, make in enumerate((lambda: True, cache)):
        distiller = sequence()
        distiller.fit(X, Y, seed=5, cache=make(), **FIT)
        ended(tmp_path / str(index), 3, cache=make())
        assert_same_weights(kept(tmp_path / str(index), cache=make()).student, weights_of(distiller.student))


def changed(**arguments):
    return lambda: (sequence(**arguments), {})


def recompiled(loss=None, metrics=("accuracy",), **arguments):
    distiller = sequence()
    distiller.compile("adam", loss or label_loss(), metrics=list(metrics), **{**UNTRACED, **arguments})
    return distiller


def joined(temperature=4.0, weights=(1.0, 1.0), temperatures=(1, 2)):
    """A run whose second stage has methods of its own, and a list among its hyperparameters."""

    def other():
        distiller = sequence()
        models = (distiller.stages[0].distiller.teacher, distiller.student)
        members = [
            smskd.KDDistiller(*models, temperature=temperature),
            smskd.MLKDDistiller(*models, temperatures=list(temperatures)),
        ]
        stages = [*distiller.stages[:1], smskd.JointDistiller(members, weights=list(weights))]
        distiller = smskd.SequentialDistiller(stages)
        distiller.compile("adam", label_loss(), metrics=["accuracy"], **UNTRACED)
        return distiller, {}

    return other


OTHER_RUNS = {
    "temperature": (changed(temperature=2.0), r"stages\[1\].temperature: 4.0 before, 2.0 now"),
    "epochs": (changed(epochs=3), r"stages\[0\].epochs: 2 before, 3 now"),
    "optimizer": (changed(optimizer="sgd"), r"stages\[0\].optimizer"),
    "learning rate": (changed(optimizer=keras.optimizers.Adam(0.5)), r"learning_rate: 0.001.* before, 0.5 now"),
    "student": (changed(width=4), "student"),
    "batch size": (lambda: (sequence(), {"batch_size": 4}), "fit.batch_size: 8 before, 4 now"),
    "validation": (lambda: (sequence(), {"validation_data": (X, Y)}), "data.validation_data: null before"),
    "validations": (lambda: (sequence(), {"validation_freq": 2}), "fit.validation_freq: null before, 2 now"),
    "best": (lambda: (sequence(), {"backup_best": "loss"}), 'fit.backup_best: null before, "loss" now'),
    "label loss": (
        lambda: (recompiled(keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)), {}),
        r"compile.loss\[1\].ignore_class: null before, 0 now",
    ),
    "metrics": (lambda: (recompiled(metrics=["accuracy", keras.metrics.SparseCategoricalAccuracy()]), {}), "metrics: "),
    "batches left out": (lambda: (recompiled(on_nonfinite="skip_batch"), {}), "compile.on_nonfinite: .*skip_batch"),
    "views": (
        lambda: (sequence(), {"cache": smskd.Cache(views=2, augment=lambda x, seed: x)}),
        r"cache: null before, .*\[2, 0\]",
    ),
    "callbacks": (lambda: (sequence(), {"callback": keras.callbacks.TerminateOnNaN()}), r"callbacks\[0\]: .*EndsIn"),
}


@pytest.mark.parametrize(("other", "message"), OTHER_RUNS.values(), ids=OTHER_RUNS)
def test_another_run_is_refused(tmp_path, other, message):
    ended(tmp_path, 1)
    distiller, arguments = other()
    before = weights_of(distiller.student)
    with pytest.raises(ValueError, match=message):
        kept(tmp_path, distiller, **arguments)
    assert_same_weights(distiller.student, before)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (joined(temperature=1.0), r"stages\[1\].KD_temperature: 4.0 before, 1.0 now"),
        (joined(weights=[1.0, 0.0]), r"stages\[1\].weights\[1\]: 1.0 before, 0.0 now"),
        (joined(temperatures=[50]), r"stages\[1\].MLKD_temperatures: \[1.0, 2.0\] before, \[50.0\] now"),
    ],
)
def test_another_joint_stage_is_refused(tmp_path, other, message):
    with pytest.raises(EndError):
        kept(tmp_path, joined()()[0], EndsIn(1))
    with pytest.raises(ValueError, match=message):
        kept(tmp_path, other()[0])


def test_other_data_are_refused(tmp_path):
    ended(tmp_path, 1)
    with pytest.raises(ValueError, match=r"data.x\[0\]: .*24, 8, 8, 1.* before, .*16, 8, 8, 1"):
        sequence().fit(X[:16], Y[:16], backup_dir=tmp_path, seed=5, callbacks=[EndsIn(-1)], **FIT)


def test_another_teacher_is_refused(tmp_path):
    ended(tmp_path, 1)
    distiller = sequence()
    distiller.stages[0].distiller.teacher.layers[-1].bias.assign([1.0, 0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="teachers: "):
        kept(tmp_path, distiller)


def test_another_run_goes_on_by_force(tmp_path):
    ended(tmp_path, 1)
    callback = EndsIn(-1)
    kept(tmp_path, sequence(temperature=2.0), callback, resume="force")
    assert list(callback.seen) == [1, 2, 3]


def test_variables_that_do_not_fit_are_refused_even_by_force(tmp_path):
    ended(tmp_path, 1)
    with pytest.raises(ValueError, match="holds other variables"):
        kept(tmp_path, sequence(width=4), resume="force")


def test_a_run_begins_anew_if_asked(tmp_path, expected):
    ended(tmp_path, 3)
    callback = EndsIn(-1)
    distiller = kept(tmp_path, sequence(), callback, resume=False)
    assert list(callback.seen) == [0, 1, 2, 3]
    assert_same_weights(distiller.student, expected[0])


def test_resume_is_one_of_three(tmp_path):
    with pytest.raises(ValueError, match="`resume` must be True, False or 'force'"):
        kept(tmp_path, resume="maybe")


def foreign(file):
    np.savez(file, weights=np.zeros(3))


def pickled(file):
    np.savez(file, facts=np.array([print], dtype=object))


def flipped(file):
    content = bytearray(file.read_bytes())
    content[content.index(b'"records"') + 1] ^= 1
    file.write_bytes(content)


SPOILED = {
    "truncated": lambda file: os.truncate(file, file.stat().st_size // 2),
    "empty": lambda file: os.truncate(file, 0),
    "a bit flipped": flipped,
    "foreign": foreign,
    "no archive": lambda file: file.write_text("text"),
    "pickled": pickled,
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_the_checkpoint_before_stands_in_for_one_that_is_spoiled(tmp_path, expected, spoil):
    ended(tmp_path, 3)
    spoil(sorted((tmp_path / "checkpoints").iterdir())[-1])
    callback = EndsIn(-1)
    with pytest.warns(UserWarning, match="cannot be read .* one before it is taken"):
        distiller = kept(tmp_path, callback=callback)
    assert list(callback.seen) == [2, 3]
    assert_same_weights(distiller.student, expected[0])


def test_nothing_is_begun_anew_where_all_checkpoints_are_spoiled(tmp_path):
    ended(tmp_path, 3)
    for file in (tmp_path / "checkpoints").iterdir():
        os.truncate(file, 9)
    with (
        pytest.warns(UserWarning, match="cannot be read"),
        pytest.raises(ValueError, match="No checkpoint in .* `resume=False`"),
    ):
        kept(tmp_path)


def test_two_runs_cannot_share_a_directory(tmp_path):
    with (
        filelock.FileLock(tmp_path / ".lock"),
        pytest.raises(RuntimeError, match="Another run is writing to `backup_dir`"),
    ):
        kept(tmp_path)
    ended(tmp_path, 1)
    kept(tmp_path)


def test_a_directory_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="`backup_dir` cannot be used"):
        kept(tmp_path / "file")


def test_a_file_system_that_is_read_only():
    with pytest.raises(OSError, match="`backup_dir` cannot be used"):
        kept("/sys/run")


class Breaks(Numbered):
    """A dataset, one of whose workers fails after some batches."""

    def __init__(self, batches=None):
        super().__init__(workers=2)
        self.left = batches

    def __getitem__(self, index):
        if self.left == 0:
            raise EndError
        self.left = None if self.left is None else self.left - 1
        return super().__getitem__(index)


def test_a_worker_that_fails_ends_a_run_that_goes_on(tmp_path):
    students = []
    for directory, batches in (("whole", None), ("broken", 12), ("broken", None)):
        distiller, callback = sequence(), EndsIn(-1)
        arguments = {"backup_dir": tmp_path / directory, "seed": 5, "callbacks": [callback], "verbose": 0}
        if batches:
            with pytest.raises(Exception, match="EndError|^$"):
                distiller.fit(Breaks(batches), **arguments)
        else:
            distiller.fit(Breaks(), **arguments)
            students.append(distiller.student)
    assert 0 < len(callback.seen) < 4
    assert_same_weights(students[1], weights_of(students[0]))


def test_data_that_end_early(tmp_path):
    """An epoch that is cut is told by Keras, one without a batch is an error; what was before stands."""

    def batches(count):
        for _ in range(count):
            yield X[:8], Y[:8]

    arguments = {"backup_dir": tmp_path, "seed": 5, "steps_per_epoch": 2, "verbose": 0, "epochs": [5, 1]}
    with (
        pytest.warns(UserWarning, match="ran out of data"),
        pytest.raises(ValueError, match="`x` gave no batch in epoch 5"),
    ):
        sequence().fit(batches(5), **arguments)
    distiller = sequence()
    history = distiller.fit(batches(20), **arguments)
    assert history.epoch == list(range(6))


@pytest.mark.parametrize(("best", "file"), [(None, "00000003.npz"), ("loss", "student.keras")])
def test_a_disk_without_room(tmp_path, expected, best, file):
    class Fills(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    distiller = sequence()
    try:
        with pytest.raises(OSError, match=f"`backup_dir` cannot be written .* What it held before stands.*{file}"):
            distiller.fit(X, Y, backup_dir=tmp_path, backup_best=best, seed=5, callbacks=[Fills()], **FIT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.rglob("*.part*"))
    if best:
        assert json.loads((tmp_path / "student.json").read_text())["epoch"] == 1
    with pytest.warns(UserWarning, match="callbacks begin anew"):
        distiller = kept(tmp_path, resume="force", backup_best=best)
    assert_same_weights(distiller.student, expected[0])


def test_a_colleague_can_read_the_directory(tmp_path):
    distiller = kept(tmp_path, sequence())
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["versions"]["keras_smskd"] == smskd.__version__
    assert config["seed"] == 5
    assert [stage["name"] for stage in config["stages"]] == ["FitNet", "KD"]
    assert config["stages"][1]["temperature"] == 4.0
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [(row["epoch"], row["stage"]) for row in rows] == [
        ("1", "FitNet"),
        ("2", "FitNet"),
        ("3", "KD"),
        ("4", "KD"),
    ]
    assert [float(row["loss"]) for row in rows] == distiller.history.history["loss"]
    assert rows[0]["reference_loss"] == ""
    metrics = json.loads((tmp_path / "stages" / "02_KD" / "metrics.json").read_text())
    assert metrics["loss"] == distiller.history.history["loss"][-1]
    for file in (tmp_path / "student.keras", tmp_path / "stages" / "02_KD" / "student.keras"):
        student = keras.models.load_model(file)
        np.testing.assert_array_equal(student.predict(X, verbose=0), distiller.predict(X, verbose=0))
    assert (tmp_path / "stages" / "01_FitNet" / "student.keras").exists()


def test_the_student_of_the_directory_is_the_last_or_the_best(tmp_path):
    """The best survives the end of a process, and that the epochs after it are worse."""

    class Overwrites(keras.callbacks.Callback):
        values = (0.1, 0.7, float("nan"), 0.7)

        def on_epoch_end(self, epoch, logs=None):
            logs["val_quality"] = self.values[epoch]
            logs["val_some_loss"] = logs["val_error"] = -self.values[epoch]
            students[epoch] = weights_of(self.model.student)

    students = {}
    for best, epoch in ((("val_quality", "max"), 2), ("val_some_loss", 2), ("val_error", 2), (None, 4)):
        directory = tmp_path / str(best)
        for ends in (EndsIn(3), EndsIn(-1)):
            with contextlib.suppress(EndError):
                distiller = recompiled(metrics=[keras.metrics.SparseCategoricalCrossentropy("error", from_logits=True)])
                arguments = {"backup_dir": directory, "backup_best": best, "seed": 5}
                distiller.fit(X, Y, callbacks=[Overwrites(), ends], **arguments, **FIT)
        about = json.loads((directory / "student.json").read_text())
        assert about["chosen"] == (f"best {best if isinstance(best, str) else best[0]}" if best else "last")
        assert (about["epoch"], about["stage"]) == (epoch, "FitNet" if best else "KD")
        assert_same_weights(keras.models.load_model(directory / "student.keras"), students[epoch - 1])


def test_the_best_is_by_a_log_that_there_is(tmp_path):
    with pytest.raises(ValueError, match=r"`backup_best` must be one of the logs \['accuracy'.*'val_acuracy'"):
        kept(tmp_path, backup_best="val_acuracy")
    with pytest.raises(ValueError, match="`backup_best` .*need a `backup_dir`"):
        sequence().fit(X, Y, backup_best="loss", **FIT)
    for best in (3, ("loss", "lowest")):
        with pytest.raises(TypeError, match="`backup_best` must be the name of a log, or a tuple of a name and 'min'"):
            kept(tmp_path, backup_best=best)
    own = keras.metrics.MeanMetricWrapper(lambda y, logits: keras.ops.max(logits, axis=-1), name="own")
    with pytest.raises(ValueError, match=r"higher or lower, which Keras does not know: \('own', 'max'\)"):
        kept(tmp_path / "unknown", recompiled(metrics=[own]), backup_best="own")


def test_a_seed_repeats_order_and_random_numbers():
    def student(seed, **arguments):
        distiller = sequence()
        distiller.fit(X, Y, seed=seed, **{**FIT, **arguments})
        return distiller.student

    first = weights_of(student(1))
    np.random.random(3)
    assert_same_weights(student(1), first)
    with pytest.raises(AssertionError):
        assert_same_weights(student(2), first)
    in_order = weights_of(student(1, shuffle=False))
    assert_same_weights(student(2, shuffle=False), in_order)


OF_SAMPLES = {
    "sample_weight": {"sample_weight": np.linspace(0.0, 2.0, len(X))},
    "class_weight": {"class_weight": {0: 2.0, 1: 1.0, 2: 1.0, 3: 3.0}},
}


@pytest.mark.parametrize("of_samples", OF_SAMPLES.values(), ids=OF_SAMPLES)
def test_a_seed_leaves_data_as_keras_takes_them(of_samples):
    histories = []
    for seed in ({}, {"seed": 3}):
        fit = {"validation_split": 0.25, "shuffle": False, **of_samples, **seed, **FIT}
        histories.append(sequence().fit(X, Y, **fit).history)
    for log, values in histories[0].items():
        np.testing.assert_allclose(histories[1][log], values, rtol=1e-5, err_msg=log)


def test_a_bare_distiller_takes_a_seed():
    students = []
    for _ in range(2):
        distiller = sequence().stages[1].distiller
        distiller.compile("sgd", label_loss())
        distiller.fit(X, Y, seed=3, **FIT)
        students.append(distiller.student)
        np.random.random(3)
    assert_same_weights(students[1], weights_of(students[0]))


def test_arrays_are_never_cut_by_steps():
    with pytest.raises(ValueError, match="`steps_per_epoch` cuts arrays"):
        sequence().fit(X, Y, seed=1, steps_per_epoch=1, **FIT)
    with pytest.raises(ValueError, match="`validation_split` must leave samples on both sides"):
        sequence().fit(X, Y, seed=1, validation_split=0.999, **FIT)


def test_plain_values_come_back():
    values = {"a": [1, 2.5, None, "x", True], 3: (np.arange(4), np.float32(0.1)), "nan": float("inf")}
    arrays = {}
    text = json.dumps(encode(values, arrays, "p"))
    back = decode(json.loads(text), arrays)
    assert back["a"] == values["a"]
    np.testing.assert_array_equal(back[3][0], values[3][0])
    assert isinstance(back[3], tuple)
    assert back[3][1] == values[3][1]
    assert back[3][1].dtype == "float32"
    assert back["nan"] == float("inf")
    assert is_plain(values)
    assert not is_plain({"model": object()})
    assert not is_plain([np.array([print], dtype=object)])


def test_two_checkpoints_are_kept(tmp_path):
    for number in range(4):
        Checkpoint({"number": number}, {"a": np.array(number)}).write(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    last = Checkpoint.last_in(tmp_path)
    assert last.facts["number"] == 3
    assert last.arrays["a"].shape == ()
