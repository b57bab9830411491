"""Runs that are taken up again: what they must not lose, and what they must not keep."""

import collections
import csv
import functools
import json
import struct

import keras
import ml_dtypes
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.backup.checkpoint import Checkpoint
from keras_smskd.backup.memory import FirstSight, Memory
from keras_smskd.backup.plain import is_plain
from keras_smskd.base import fit_checks
from keras_smskd.history import StageRecord
from tests.models import CLASSES, UNTRACED, assert_same_weights, dense, label_loss, vectors, weights_of

X, Y = vectors(24)
FIT = {"batch_size": 8, "verbose": 0, "seed": np.int64(5)}


def sequence(optimizer="sgd", stages=2, student=None, epochs=2, metrics=(), **arguments):
    keras.utils.set_random_seed(0)
    teacher, student = dense(8), student or dense(3)
    stages = [smskd.Stage(smskd.KDDistiller(teacher, student), epochs) for _ in range(stages)]
    distiller = smskd.SequentialDistiller(stages, **arguments)
    distiller.compile(optimizer, label_loss(), metrics=list(metrics), **UNTRACED)
    return distiller


class EndError(Exception):
    """What ends a process."""


class Ends(keras.callbacks.Callback):
    def __init__(self, batches=None):
        super().__init__()
        self.done = collections.deque()  # Nothing that a checkpoint would give back.
        self.batches = batches

    def on_train_batch_begin(self, batch, logs=None):
        if len(self.done) == self.batches:
            raise EndError

    def on_train_batch_end(self, batch, logs=None):
        self.done.append(batch)


def trained(directory, distiller, batches=None, callbacks=(), **arguments):
    """Trains in a directory, to the end or until the process ends after some batches."""
    fit = functools.partial(distiller.fit, X, Y, backup_dir=directory, callbacks=[Ends(batches), *callbacks])
    if batches is None:
        fit(**{**FIT, **arguments})
    else:
        with pytest.raises(EndError):
            fit(**{**FIT, **arguments})
    return distiller


ENDS = {"first epoch": 2, "last epoch of a stage": 5, "between epochs": 3, "second stage": 8}


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    return weights_of(trained(tmp_path_factory.mktemp("whole"), sequence(averaging()), backup_every=1).student)


def averaging():
    return keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9)


@pytest.mark.compiles
@pytest.mark.parametrize("batches", ENDS.values(), ids=ENDS)
def test_an_optimizer_that_averages_weights_goes_on(tmp_path, averaged, batches):
    trained(tmp_path, sequence(averaging()), batches, backup_every=1)
    assert_same_weights(trained(tmp_path, sequence(averaging()), backup_every=1).student, averaged)


@pytest.mark.compiles
def test_a_stage_that_a_callback_ends_in_the_epoch_it_goes_on_with_is_averaged(tmp_path):
    class Stops(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    students = []
    for name, ends in (("whole", (None,)), ("ended", (2, None))):
        for batches in ends:
            distiller = sequence(averaging(), stages=1)
            trained(tmp_path / name, distiller, batches, [Stops()], backup_every=1)
        students.append(distiller.student)
    assert_same_weights(students[1], weights_of(students[0]))


@pytest.mark.compiles
def test_a_stage_is_whole_after_a_run_that_went_on_within_an_epoch(tmp_path):
    trained(tmp_path, sequence(), 5, backup_every=2)
    stage = trained(tmp_path, sequence(), backup_every=2).stages[0].distiller
    stage.compile("sgd", label_loss())
    callback = Ends()
    stage.fit(X, Y, callbacks=[callback], **FIT)
    assert list(callback.done) == [0, 1, 2]


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("batches", ENDS.values(), ids=ENDS)
@pytest.mark.compiles
def test_dropout_without_a_seed_goes_on(tmp_path, batches, every):
    def dropping():
        keras.utils.set_random_seed(3)
        hidden = keras.layers.Dense(5, activation="tanh", name="hidden")
        return keras.Sequential([keras.Input((6,)), hidden, keras.layers.Dropout(0.5), keras.layers.Dense(CLASSES)])

    whole = trained(tmp_path / "whole", sequence(student=dropping()), backup_every=every)
    trained(tmp_path / "ended", sequence(student=dropping()), batches, backup_every=every)
    distiller = trained(tmp_path / "ended", sequence(student=dropping()), backup_every=every)
    assert_same_weights(distiller.student, weights_of(whole.student))


def test_the_rest_of_an_epoch_is_that_of_the_same_data(tmp_path):
    trained(tmp_path, sequence(), 2, backup_every=1)
    with pytest.raises(ValueError, match=r"within an epoch.*fit.batch_size: 8 before, 12 now.*`resume=False`"):
        trained(tmp_path, sequence(), backup_every=1, batch_size=12, resume="force")


def test_a_fault_after_a_resume_within_an_epoch_has_its_batch(tmp_path):
    trained(tmp_path, sequence(), 2, [keras.callbacks.LambdaCallback()], backup_every=1)
    distiller = sequence()
    spoils = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: distiller.student.weights[0].assign(np.full((6, 3), np.nan))
    )
    with pytest.raises(FloatingPointError, match="epoch 1, batch 3 of its order"):
        trained(tmp_path, distiller, callbacks=[spoils], backup_every=1)


@pytest.mark.compiles
def test_class_weights_of_numpy_are_kept(tmp_path):
    weights = {np.int64(0): np.float32(2.0), np.int64(1): 1.0}
    trained(tmp_path, sequence(), 2, class_weight=weights)
    trained(tmp_path, sequence(), class_weight=weights)
    sequence().fit(X, Y, class_weight=weights, **FIT)


@pytest.mark.compiles
def test_bad_labels_before_the_end_are_not_forgotten(tmp_path):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return X[:8], np.eye(CLASSES)[Y[:8]] * (2.0 if index == 0 else 1.0)

    def fit(batches=None):
        distiller = sequence()
        distiller.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
        arguments = {"backup_dir": tmp_path, "backup_every": 1, "shuffle": False, "verbose": 0, "seed": 1}
        distiller.fit(Batches(), callbacks=[Ends(batches)], **arguments)

    with pytest.raises(EndError):
        fit(2)
    with pytest.raises(ValueError, match="`y` must hold class ids.* Received: 8 labels"):
        fit()


def test_a_record_has_a_value_an_epoch():
    record = StageRecord("KD", [], {})
    record.add(0, {"loss": np.float32(2.0)})
    record.add(1, {"loss": 1.5, "val_loss": keras.ops.convert_to_tensor(3.0)})
    record.add(2, {"loss": 1.0, "f1": np.array([0.5, 0.25])})
    nan = float("nan")
    np.testing.assert_equal(
        record.history, {"loss": [2.0, 1.5, 1.0], "val_loss": [nan, 3.0, nan], "f1": [nan, nan, [0.5, 0.25]]}
    )
    assert record.measured(1) == {"loss": 1.5, "val_loss": 3.0}
    assert record.measured(2) == {"loss": 1.0, "f1": [0.5, 0.25]}
    assert sorted(record.numbers) == ["loss", "val_loss"]


@pytest.mark.compiles
def test_epochs_without_validation(tmp_path):
    arguments = {"validation_data": (X, Y), "validation_freq": 2, "epochs": [1, 3]}
    distiller = trained(tmp_path, sequence(), backup_best="val_loss", **arguments)
    history = distiller.history.history
    assert {len(values) for values in history.values()} == {4}
    np.testing.assert_array_equal(np.isnan(history["val_loss"]), [True, False, True, False])
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [row["val_loss"] for row in rows] == ["" if np.isnan(value) else str(value) for value in history["val_loss"]]
    about = json.loads((tmp_path / "student.json").read_text())
    assert about["epoch"] == 1 + np.nanargmin(history["val_loss"])
    assert about["val_loss"] == np.nanmin(history["val_loss"])
    student = keras.models.load_model(tmp_path / "student.keras")
    student.compile(loss=label_loss())
    np.testing.assert_allclose(student.evaluate(X, Y, verbose=0), about["val_loss"], rtol=1e-5)


@pytest.mark.compiles
@pytest.mark.parametrize(("frequency", "epochs"), [(1, 1), (3, 3), ([2, 4], 2)])
def test_a_best_log_that_is_unknown_is_refused_when_all_are_known(tmp_path, frequency, epochs):
    seen = []
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    arguments = {"validation_data": (X, Y), "validation_freq": frequency, "backup_best": "val_acc", "epochs": 2}
    with pytest.raises(ValueError, match=r"`backup_best` must be one of the logs .*'val_loss'\].*'val_acc'"):
        trained(tmp_path, sequence(), callbacks=[count], **arguments)
    assert len(seen) == epochs


@pytest.mark.compiles
def test_metrics_of_more_than_one_number(tmp_path):
    distiller = sequence(metrics=[keras.metrics.F1Score(name="f1")])
    distiller.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), metrics=[keras.metrics.F1Score()])
    labels = np.eye(CLASSES, dtype="float32")[Y]
    history = distiller.fit(X, labels, backup_dir=tmp_path, epochs=1, **FIT)
    assert np.shape(history.history["f1_score"]) == (2, CLASSES)
    assert "f1_score" not in (tmp_path / "history.csv").read_text()
    assert len(json.loads((tmp_path / "student.json").read_text())["f1_score"]) == CLASSES
    distiller.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), metrics=[keras.metrics.F1Score()])
    with pytest.raises(ValueError, match="`backup_best` must be one of the logs .* each of one number"):
        distiller.fit(X, labels, backup_dir=tmp_path / "best", backup_best="f1_score", **FIT)


class NoConfig(keras.Model):
    """A model that Keras cannot serialise."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.head = keras.layers.Dense(CLASSES)

    def call(self, x):
        return self.function(self.head(x))

    def get_config(self):
        raise NotImplementedError


def without_config():
    keras.utils.set_random_seed(0)
    model = NoConfig(lambda x: 2.0 * x)
    model(np.zeros((2, 6), "float32"))
    return model


@pytest.mark.compiles
@pytest.mark.parametrize("best", [None, "loss"])
def test_a_student_that_cannot_be_serialised_is_kept_by_its_weights(tmp_path, best):
    def made():
        return sequence(student=without_config(), student_factory=without_config)

    whole = trained(tmp_path / "whole", made(), backup_best=best)
    trained(tmp_path / "ended", made(), 7, backup_best=best)
    trained(tmp_path / "ended", made(), backup_best=best)
    assert json.loads((tmp_path / "ended" / "student.json").read_text())["file"] == "student.weights.h5"
    for file in ("student.weights.h5", "stages/02_KD/student.weights.h5"):
        student = without_config()
        student.load_weights(tmp_path / "ended" / file)
        expected = without_config()
        expected.load_weights(tmp_path / "whole" / file)
        assert_same_weights(student, weights_of(expected))
    assert_same_weights(student, weights_of(whole.student))


class Remembers(keras.callbacks.Callback):
    def __init__(self, **values):
        super().__init__()
        vars(self).update(values)


def test_arrays_of_callbacks_are_kept_when_they_change():
    callback, first_sight = Remembers(large=np.zeros(1000), count=0), FirstSight()
    arrays = {}
    assert Memory([callback], first_sight).encoded(arrays)["changed"] == [{"items": []}]
    assert not arrays
    callback.large[3] = 1.0
    callback.count = 2
    later = Memory([callback], first_sight)  # Of the next stage.
    memories = later.encoded(arrays)
    fresh = Remembers(large=np.zeros(1000), count=0)
    Memory([fresh], FirstSight()).restore(memories, arrays)
    np.testing.assert_array_equal(fresh.large, callback.large)
    assert fresh.count == 2


def test_what_only_looks_plain_begins_anew():
    best = collections.namedtuple("best", "loss wait")
    for value in (collections.defaultdict(list), collections.OrderedDict(a=1), best(1.0, 0), np.ma.zeros(3)):
        assert not is_plain(value)
        assert not is_plain([value])
    arrays = {}
    callback, first_sight = Remembers(seen=collections.defaultdict(list), best=best(1.0, 0)), FirstSight()
    memory = Memory([callback], first_sight)
    callback.seen["epoch"].append(1)
    memory.restore(memory.encoded(arrays), arrays)
    callback.seen["batch"].append(1)
    assert callback.best.loss == 1.0


@pytest.mark.compiles
def test_checkpoints_hold_no_teacher_and_nothing_of_stages_that_are_over(tmp_path):
    keras.utils.set_random_seed(0)
    teacher, student = dense(500), dense(3)
    crd = smskd.CRDDistiller(teacher, student, layers={"hidden": "hidden"}, samples=1000, negatives=4)
    distiller = smskd.SequentialDistiller([crd, smskd.KDDistiller(teacher, student)])
    distiller.compile("sgd", label_loss())
    stopping = keras.callbacks.EarlyStopping("loss", restore_best_weights=True)
    sizes = []

    class Sizes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            arrays = distiller._run.last.arrays.values()
            sizes.append(sum(array.size for array in arrays))

    distiller.fit(X, Y, epochs=[1, 2], callbacks=[stopping, Sizes()], **FIT)
    assert sizes[0] > 2 * 1000  # A vector a sample, of teacher and of student.
    assert sizes[2] < 10 * student.count_params() < teacher.count_params()
    assert distiller._run.last is None


def test_early_stopping_keeps_what_is_trained_alone():
    distiller = smskd.FitNetDistiller(dense(8), dense(3), layers={"hidden": "hidden"})
    before = distiller.get_weights()
    trained = distiller.trainable_weights
    assert len(before) >= len(trained)
    assert sum(array.size for array in before) < distiller.teacher.count_params() + sum(
        int(np.prod(weight.shape)) for weight in trained
    )
    for weight in trained:
        weight.assign(weight + 1.0)
    distiller.set_weights(before)
    for received, expected in zip(distiller.get_weights(), before):
        np.testing.assert_array_equal(received, expected)
    with pytest.raises(ValueError, match="`weights` must be arrays of the shapes"):
        distiller.set_weights(before[1:])


# A byte of an entry of the archive's directory, and a bit of it: method, version, flags, length of a comment.
BITS = [(10, 1), (6, 128), (8, 1), (33, 1), (32, 128)]


@pytest.mark.parametrize(("byte", "bit"), BITS)
def test_an_archive_whose_directory_is_spoiled(tmp_path, byte, bit):
    for number in range(2):
        Checkpoint({"number": number}, {"a": np.arange(6.0), "b": np.array(1)}).write(tmp_path)
    last = sorted(tmp_path.iterdir())[-1]
    content = bytearray(last.read_bytes())
    content[content.find(struct.pack("<I", 0x02014B50)) + byte] ^= bit
    last.write_bytes(content)
    with pytest.warns(UserWarning, match="cannot be read .* one before it is taken"):
        checkpoint = Checkpoint.last_in(tmp_path)
    assert checkpoint.facts == {"number": 0}
    assert sorted(checkpoint.arrays) == ["a", "b"]


@pytest.mark.compiles
def test_a_run_that_begins_anew_leaves_nothing_of_the_one_before(tmp_path):
    trained(tmp_path, sequence(), epochs=1)
    (tmp_path / "notes.txt").touch()
    trained(tmp_path, sequence(), 2, resume=False, epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".lock",
        "checkpoints",
        "config.json",
        "history.csv",
        "notes.txt",
        "stages",
    ]
    assert not list((tmp_path / "stages").iterdir())
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_a_directory_that_holds_no_run_is_left_as_it_is(tmp_path):
    (tmp_path / "stages" / "01_KD").mkdir(parents=True)
    files = [tmp_path / "student.keras", tmp_path / "stages" / "01_KD" / "notes.txt"]
    for file in files:
        file.write_text("of the user")
    trained(tmp_path, sequence(), 1)
    assert [file.read_text() for file in files] == ["of the user"] * 2


@pytest.mark.compiles
def test_the_configuration_is_that_of_the_run_that_goes_on(tmp_path):
    trained(tmp_path, sequence(), 2)
    trained(tmp_path, sequence(epochs=1), resume="force")
    config = json.loads((tmp_path / "config.json").read_text())
    assert [stage["epochs"] for stage in config["stages"]] == [1, 1]
    assert config["seed"] == 5


@pytest.mark.compiles
def test_a_weighting_without_a_name():
    def weighting(teacher, y, scale):
        return scale * keras.ops.ones_like(teacher[:, 0])

    distiller = sequence(weighting=functools.partial(weighting, scale=2.0))
    assert distiller.plan()[1]["weighting"] == "partial"
    assert len(distiller.fit(X, Y, epochs=1, **FIT).epoch) == 2


def test_arrays_are_read_through_once_a_run(monkeypatch):
    read, is_finite = [], fit_checks.is_finite
    monkeypatch.setattr(fit_checks, "is_finite", lambda array: read.append(array) or is_finite(array))
    distiller = sequence(stages=3)
    distiller.fit(X, Y, epochs=1, **FIT)
    assert len(read) == 1
    distiller.stages[2].distiller.compile("sgd", label_loss())
    distiller.stages[2].distiller.fit(X, Y, **FIT)
    assert len(read) == 2


@pytest.mark.parametrize(("number", "is_finite"), [(1e308, True), (np.inf, False), (-np.inf, False), (np.nan, False)])
def test_numbers_whose_sum_is_not_finite_may_be(number, is_finite):
    assert fit_checks.is_finite(np.full(10, number)) is is_finite
    assert fit_checks.is_finite(np.full(10, number, ml_dtypes.bfloat16)) is (is_finite and number < 1e300)
