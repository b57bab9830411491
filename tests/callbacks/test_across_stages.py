"""Callbacks of Keras work per stage, and what they remember stays in its stage."""

import csv

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from tests.models import UNTRACED, dense, label_loss, vectors


@pytest.fixture
def distiller():
    keras.utils.set_random_seed(0)
    teacher, student = dense(8), dense(3)
    stages = [
        smskd.KDDistiller(teacher, student),
        smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}),  # A loss of another scale.
    ]
    distiller = smskd.SequentialDistiller(stages)
    distiller.compile(keras.optimizers.SGD(0.001), label_loss(), metrics=["accuracy"])
    return distiller


def fit(distiller, *callbacks, epochs=3):
    x, y = vectors(32)
    return distiller.fit(x, y, epochs=epochs, verbose=0, validation_data=(x, y), callbacks=list(callbacks))


@pytest.mark.compiles
def test_model_checkpoint_saves_the_student_in_every_stage(distiller, tmp_path):
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", monitor="loss", save_best_only=True)
    history = fit(distiller, checkpoint)
    assert min(history.stages[1].history["loss"]) > max(history.stages[0].history["loss"])
    saved = sorted(int(path.stem) for path in tmp_path.glob("*.keras"))
    assert 1 in saved
    assert 4 in saved
    best = keras.saving.load_model(tmp_path / f"{saved[-1]}.keras")
    assert len(best.weights) == len(distiller.student.weights)


@pytest.mark.compiles
def test_early_stopping_ends_its_stage_alone(distiller):
    stopping = keras.callbacks.EarlyStopping(monitor="loss", min_delta=1e9, patience=1)
    history = fit(distiller, stopping, epochs=5)
    assert [stage.epoch for stage in history.stages] == [[0, 1], [2, 3]]
    assert history.epoch == [0, 1, 2, 3]


@pytest.mark.compiles
def test_early_stopping_may_restore_the_best_weights(distiller):
    stopping = keras.callbacks.EarlyStopping(monitor="loss", mode="max", patience=1, restore_best_weights=True)
    assert len(fit(distiller, stopping, epochs=4).stages) == 2


@pytest.mark.compiles
def test_the_learning_rate_starts_anew(distiller):
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=1e9, patience=1, factor=0.5)
    history = fit(distiller, plateau).history
    assert history["learning_rate"][0] == history["learning_rate"][3] == pytest.approx(0.001)
    assert history["learning_rate"][2] < 0.001
    first, second = (stage.distiller.optimizer for stage in distiller.stages)
    assert first is not second


@pytest.mark.compiles
def test_csv_logger_writes_one_table(distiller, tmp_path):
    path = tmp_path / "log.csv"
    logger = keras.callbacks.CSVLogger(path)
    history = fit(distiller, logger)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose([float(row["loss"]) for row in rows], history.history["loss"], rtol=1e-6)
    assert [row["reference_loss"] for row in rows[:3]] == ["NA"] * 3
    np.testing.assert_allclose(
        [float(row["reference_loss"]) for row in rows[3:]], history.history["reference_loss"][3:], rtol=1e-6
    )
    assert logger.append is False
    fit(distiller, logger, epochs=1)
    assert len(list(csv.DictReader(path.read_text().splitlines()))) == 2


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


class Adds(keras.callbacks.Callback):
    """Adds a log whose name comes before all others."""

    columns = ("aa_extra",)

    def on_epoch_end(self, epoch, logs=None):
        if self.model.reference is not None:
            logs["aa_extra"] = -1.0


@pytest.mark.compiles
def test_values_stand_in_their_columns_in_every_stage_and_after_an_end(tmp_path):
    """Only some epochs have a validation, and only the second stage adds a log, by a callback of its own."""

    class Ends(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == ends_in:
                raise KeyboardInterrupt

    x, y = vectors(32)
    tables = {name: tmp_path / f"{name}.csv" for name in ("run", "stage")}

    def fit():
        keras.utils.set_random_seed(0)
        teacher, student = dense(8), dense(3)
        own = [keras.callbacks.CSVLogger(tables["stage"]), Adds()]
        stages = [smskd.KDDistiller(teacher, student), smskd.Stage(smskd.KDDistiller(teacher, student), callbacks=own)]
        distiller = smskd.SequentialDistiller(stages)
        distiller.compile("sgd", label_loss(), **UNTRACED)
        logger = keras.callbacks.CSVLogger(tables["run"])
        arguments = {"validation_data": (x, y), "validation_freq": 2, "epochs": [1, 3], "backup_dir": tmp_path / "run"}
        return distiller.fit(x, y, callbacks=[logger, Ends()], seed=1, verbose=0, **arguments).history

    ends_in = 3
    with pytest.raises(KeyboardInterrupt):
        fit()
    ends_in = -1
    history = fit()
    for name, first in (("run", 0), ("stage", 1)):
        rows = rows_of(tables[name])
        assert [int(row["epoch"]) for row in rows] == [*range(first, 4)]
        for log in ("loss", "distillation_loss", "val_loss", "aa_extra"):
            written = [float(row[log]) if row[log] not in ("NA", "") else np.nan for row in rows]
            np.testing.assert_allclose(written, history[log][first:], rtol=1e-6)


@pytest.mark.compiles
def test_what_a_user_changes_of_a_callback_stays(distiller, tmp_path):
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "first.keras", monitor="loss", save_best_only=True)
    fit(distiller, checkpoint, epochs=1)
    checkpoint.filepath = str(tmp_path / "second.keras")
    (tmp_path / "first.keras").unlink()
    fit(distiller, checkpoint, epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["second.keras"]


def test_a_sequence_that_cannot_begin_has_ended_for_its_callbacks(distiller):
    class Recorder(keras.callbacks.Callback):
        seen = ()

        def on_sequence_begin(self, sequence):
            self.seen += ("begin",)

        def on_sequence_end(self):
            self.seen += ("end",)

    class Refuses(keras.callbacks.Callback):
        def on_sequence_begin(self, sequence):
            raise ValueError("not this one")

    recorder = Recorder()
    with pytest.raises(ValueError, match="not this one"):
        fit(distiller, recorder, Refuses())
    assert recorder.seen == ("begin", "end")


@pytest.mark.compiles
def test_a_log_may_be_a_string(distiller):
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(note=f"epoch {epoch}"))
    assert fit(distiller, note, epochs=1).history["note"] == ["epoch 0", "epoch 1"]


def test_a_users_callback_is_one_object_that_sees_one_fit_per_stage(distiller):
    class Recorder(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_train_begin(self, logs=None):
            self.seen.append(self.model.method)

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append(epoch)

    recorder = Recorder()
    fit(distiller, recorder, epochs=2)
    assert recorder.seen == ["KD", 0, 1, "FitNet", 2, 3]


@pytest.mark.compiles
def test_a_users_callback_learns_where_run_and_stages_end(distiller):
    class Recorder(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_sequence_begin(self, sequence):
            self.seen.append(sequence)

        def on_train_end(self, logs=None):
            self.seen.append("trained")

        def on_stage_end(self, index):
            self.seen.append(index)

        def on_sequence_end(self):
            self.seen.append("end")

    recorder = Recorder()
    fit(distiller, recorder, epochs=1)
    assert recorder.seen == [distiller, "trained", 0, "trained", 1, "end"]


@pytest.mark.compiles
def test_a_stage_may_have_callbacks_of_its_own():
    seen = []
    teacher, student = dense(8), dense(3)
    own = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    stages = [smskd.KDDistiller(teacher, student), smskd.Stage(smskd.KDDistiller(teacher, student), callbacks=[own])]
    distiller = smskd.SequentialDistiller(stages)
    distiller.compile("sgd", label_loss())
    distiller.fit(*vectors(8), epochs=2, verbose=0)
    assert seen == [2, 3]


@pytest.mark.compiles
def test_the_best_value_is_forgotten_from_run_to_run_and_in_callbacks_of_a_stage(tmp_path):
    seen = []

    class Checkpoint(keras.callbacks.ModelCheckpoint):
        def on_train_begin(self, logs=None):
            super().on_train_begin(logs)
            seen.append(self.best)

    teacher, student = dense(8), dense(3)
    own = Checkpoint(tmp_path / "own.keras", monitor="loss", save_best_only=True)
    runs = Checkpoint(tmp_path / "run.keras", monitor="loss", save_best_only=True)
    stages = [smskd.Stage(smskd.KDDistiller(teacher, student), callbacks=[own]) for _ in range(2)]
    distiller = smskd.SequentialDistiller(stages)
    distiller.compile("sgd", label_loss())
    for _ in range(2):
        distiller.fit(*vectors(8), verbose=0, callbacks=[runs])
    assert len(seen) == 8
    assert len(set(seen)) == 1
