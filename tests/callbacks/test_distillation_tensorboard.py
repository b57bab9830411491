import collections
import pathlib
import sys

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.callbacks import AdaptiveReferenceWeight, DistillationTensorBoard
from tests.models import dense, label_loss, vectors


def events_of(directory):
    """All summaries below a directory: tag -> list of (step, value)."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    summaries = collections.defaultdict(list)
    for path in sorted(pathlib.Path(directory).glob("events*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                summaries[value.tag].append((event.step, value))
    return summaries


def numbers(summaries, tag):
    from tensorboard.util.tensor_util import make_ndarray

    return [(step, float(make_ndarray(value.tensor))) for step, value in summaries[tag]]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def run(directory):
    x, y = vectors(32)
    teacher, student = dense(8), dense(3)
    stages = [
        smskd.Stage(smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}), epochs=2),
        smskd.Stage(smskd.KDDistiller(teacher, student), callbacks=[AdaptiveReferenceWeight("linear")]),
    ]
    distiller = smskd.SequentialDistiller(stages, reference_weight=2.0)
    distiller.compile(keras.optimizers.SGD(0.25), label_loss(), metrics=["accuracy"])
    callback = DistillationTensorBoard(directory, hparams={"seed": 7})
    history = distiller.fit(x, y, epochs=[2, 3], validation_data=(x, y), callbacks=[callback], verbose=0).history
    return history, events_of(directory / "train"), events_of(directory / "validation")


@pytest.mark.compiles
def test_a_metric_of_several_numbers_has_one_chart_each(tmp_path):
    x, y = vectors(16)
    distiller = smskd.KDDistiller(dense(8), dense(3))
    metric = keras.metrics.F1Score(average=None, name="f1")
    distiller.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), metrics=[metric])
    one_hot = keras.utils.to_categorical(y, 4)
    history = distiller.fit(x, one_hot, callbacks=[DistillationTensorBoard(tmp_path)], verbose=0).history
    written = [numbers(events_of(tmp_path / "train"), f"f1/{index}")[0][1] for index in range(4)]
    np.testing.assert_allclose(written, history["f1"][0], rtol=1e-6)


@pytest.mark.compiles
def test_hyperparameters_in_lists_are_described(tmp_path):
    distiller = smskd.MLKDDistiller(dense(8), dense(3), temperatures=[2.0, 4.0])
    distiller.compile("sgd", label_loss())
    distiller.fit(*vectors(16), callbacks=[DistillationTensorBoard(tmp_path)], verbose=0)
    assert "[2.0, 4.0]" in str(events_of(tmp_path))


@pytest.mark.parametrize("term", ["loss", "label_loss", "distillation_loss", "accuracy"])
def test_terms_and_metrics_continue_over_the_stages(run, term):
    history, train, _ = run
    steps, values = zip(*numbers(train, term), strict=True)
    assert steps == (0, 1, 2, 3, 4)
    np.testing.assert_allclose(values, history[term], rtol=1e-6)


def test_the_reference_loss_stands_where_it_was_computed(run):
    history, train, _ = run
    steps, values = zip(*numbers(train, "reference_loss"), strict=True)
    assert steps == (2, 3, 4)
    np.testing.assert_allclose(values, history["reference_loss"][2:], rtol=1e-6)


def test_weights_rate_and_stage(run):
    _, train, _ = run
    assert [value for _, value in numbers(train, "stage")] == [1, 1, 2, 2, 2]
    assert [value for _, value in numbers(train, "distillation_weight")] == pytest.approx([100, 100, 0.9, 0.9, 0.9])
    assert [value for _, value in numbers(train, "learning_rate")] == pytest.approx([0.25] * 5)
    assert [value for _, value in numbers(train, "reference_weight")] == pytest.approx([0, 0, 2, 1, 0])


def test_validation_is_a_run_of_its_own(run):
    history, _, validation = run
    assert set(validation) == {"loss", "accuracy"}
    np.testing.assert_allclose([value for _, value in numbers(validation, "loss")], history["val_loss"], rtol=1e-6)


@pytest.mark.parametrize("name", ["tcp", "sample_reference_weight"])
def test_histograms_hold_every_training_sample(run, name):
    from tensorboard.util.tensor_util import make_ndarray

    _, train, _ = run
    assert [step for step, _ in train[name]] == [2, 3, 4]
    for _, value in train[name]:
        assert value.metadata.plugin_data.plugin_name == "histograms"
        assert make_ndarray(value.tensor)[:, 2].sum() == 32


def test_layout_and_plan(run):
    from tensorboard.plugins.custom_scalar import layout_pb2
    from tensorboard.util.tensor_util import make_ndarray

    _, train, _ = run
    [(_, layout)] = train["custom_scalars__config__"]
    charts = layout_pb2.Layout.FromString(make_ndarray(layout.tensor).item()).category[0].chart
    assert "^reference_loss$" in charts[0].multiline.tag
    [(_, plan)] = train["stages"]
    text = make_ndarray(plan.tensor).ravel()[0].decode()
    assert "|method|FitNet|KD|" in text
    assert "|distillation_weight|100|0.9|" in text


def trial_of(directory):
    """What the HParams page reads: a trial has the metrics of the runs in and below the directory of this event."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    [(_, info)] = events_of(directory)["_hparams_/session_start_info"]
    return plugin_data_pb2.HParamsPluginData.FromString(info.metadata.plugin_data.content).session_start_info


def test_hparams_stand_above_the_metrics_of_training_and_validation(run, directory):
    _, train, _ = run
    assert not [tag for tag in train if tag.startswith("_hparams_")]
    hparams = trial_of(directory).hparams
    assert hparams["stage_1_method"].string_value == "FitNet"
    assert hparams["stage_2_reference_weight"].number_value == 2.0
    assert hparams["stage_2_epochs"].number_value == 3
    assert hparams["stage_2_weighting"].string_value == "tcp"
    assert hparams["stage_2_learning_rate"].number_value == 0.25
    assert hparams["seed"].number_value == 7


@pytest.mark.compiles
def test_runs_are_trials_by_the_name_of_their_directory(tmp_path):
    x, y = vectors(8)
    distiller = smskd.KDDistiller(dense(8), dense(3))
    distiller.compile("sgd", label_loss())
    places = [("first/run", 0), ("first/other", 0), ("second/run", 0), ("third/run", 1)]
    for place, seed in places:
        callback = DistillationTensorBoard(tmp_path / place, hparams={"seed": seed})
        distiller.fit(x, y, callbacks=[callback], verbose=0)
    run, other, same, seed_1 = (trial_of(tmp_path / place).group_name for place, _ in places)
    assert [name.split()[0] for name in (run, other, seed_1)] == ["run", "other", "run"]
    assert run == same
    assert len({run, other, seed_1}) == 3


def test_a_bare_distiller_is_logged_too(tmp_path):
    x, y = vectors(8)
    distiller = smskd.KDDistiller(dense(8), dense(3))
    distiller.compile("sgd", label_loss())
    distiller.fit(x, y, epochs=2, callbacks=[DistillationTensorBoard(tmp_path)], verbose=0)
    train = events_of(tmp_path / "train")
    assert [step for step, _ in numbers(train, "distillation_loss")] == [0, 1]
    assert "tcp" not in train


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        DistillationTensorBoard("logs")
