"""What others made for Keras models: trackers of experiments, tuners, drawings."""

import os
import stat

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from tests.ecosystem.world import QUICK
from tests.models import assert_same_weights, dense, label_loss, vectors, weights_of

X, Y = vectors(32)


def kd():
    return smskd.KDDistiller(dense(8, "teacher"), dense(3, "student"))


def two_stages():
    first = kd()
    return smskd.SequentialDistiller([first, smskd.KDDistiller(first.teacher, first.student)])


def compiled(distiller):
    distiller.compile(keras.optimizers.Adam(0.01), label_loss(), metrics=["accuracy"], **QUICK)
    return distiller


class Tracker(keras.callbacks.Callback):
    """Does what the callbacks of trackers such as Weights & Biases do with a model, all by public attributes."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.config, self.steps, self.rows, self.best = {}, [], [], np.inf

    def on_train_begin(self, logs=None):
        self.config = {**self.params, "parameters": self.model.count_params(), "model": self.model.get_config()}

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        kernel = np.histogram(self.model.trainable_variables[0].numpy())
        row = {**logs, "learning_rate": rate, "kernel": kernel, "examples": self.model.predict(X[:2], verbose=0)}
        self.rows.append({"epoch": epoch, **row})
        if logs["val_loss"] < self.best:
            self.best = logs["val_loss"]
            self.model.save(self.folder / "best.keras")
            self.kept = weights_of(self.model.student)


@pytest.mark.skipif(
    keras.backend.backend() == "jax" and keras.__version__.startswith("3.10."),
    reason="Keras 3.10 trains no model on JAX with a callback that predicts",
)
@pytest.mark.parametrize("make", [pytest.param(kd, marks=pytest.mark.compiles), two_stages])
def test_a_tracker_sees_every_epoch_and_saves_the_student(tmp_path, make):
    distiller, tracker = compiled(make()), Tracker(tmp_path)
    data = {"validation_data": (X, Y), "batch_size": 16}
    history = distiller.fit(X, Y, epochs=2, callbacks=[tracker], verbose=0, **data).history
    epochs = len(history["loss"])
    assert [row["epoch"] for row in tracker.rows] == list(range(epochs))
    assert len(tracker.steps) == 2 * epochs
    for name in ("loss", "label_loss", "distillation_loss", "val_accuracy"):
        assert [row[name] for row in tracker.rows] == history[name]
    assert tracker.rows[0]["learning_rate"] == pytest.approx(0.01)
    assert tracker.rows[-1]["examples"].shape == (2, 4)
    assert_same_weights(keras.saving.load_model(tmp_path / "best.keras"), tracker.kept)


@pytest.mark.compiles
def test_a_tuner_chooses_among_sequences(tmp_path):
    keras_tuner = pytest.importorskip("keras_tuner")

    def build(hyperparameters):
        keras.utils.set_random_seed(0)
        distiller = two_stages()
        rate = hyperparameters.Choice("learning_rate", [0.0, 0.05])
        distiller.compile(keras.optimizers.Adam(rate), label_loss(), metrics=["accuracy"], **QUICK)
        return distiller

    project = {"directory": tmp_path, "project_name": "rates", "overwrite": True}
    tuner = keras_tuner.GridSearch(build, objective="val_loss", max_trials=2, **project)
    tuner.search(X, Y, epochs=2, validation_data=(X, Y), verbose=0)
    assert tuner.get_best_hyperparameters()[0].get("learning_rate") == 0.05
    best = compiled(tuner.get_best_models()[0])
    scores = {trial.hyperparameters.get("learning_rate"): trial.score for trial in tuner.oracle.trials.values()}
    assert best.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == pytest.approx(scores[0.05], rel=1e-4)


@pytest.fixture
def graphviz(tmp_path, monkeypatch):
    """A program in place of Graphviz's `dot`, which gives back what it is to draw."""
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\nfor file; do :; done\ncat "$file"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("make", [kd, two_stages])
def test_a_distiller_is_drawn_as_one_box_and_its_student_as_layers(tmp_path, graphviz, make):
    pytest.importorskip("pydot")
    distiller = make()
    drawings = {}
    for name, model in (("distiller", distiller), ("student", distiller.student)):
        keras.utils.plot_model(model, tmp_path / f"{name}.png", show_layer_names=True)
        drawings[name] = (tmp_path / f"{name}.png").read_text()
    assert type(distiller).__name__ in drawings["distiller"]
    assert all(layer.name in drawings["student"] for layer in distiller.student.layers)
