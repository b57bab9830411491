"""The study on CIFAR-100: plans, learning rates, weightings, and what its results add up to."""

import dataclasses
import json
import math
import pathlib
import re
import shlex
import sys

import keras
import numpy as np
import pytest

from benchmarks import cifar100, search
from benchmarks.data import NewViews, reduced
from benchmarks.study import summary
from benchmarks.study.methods import FACTORS
from benchmarks.study.plan import Run, sequence_of
from benchmarks.study.protocol import DESK, FIELD
from benchmarks.study.schedule import optimizer, rates_of
from benchmarks.study.training import Split, split_of, train
from benchmarks.study.weightings import WEIGHTINGS
from benchmarks.zoo import build

pytestmark = pytest.mark.compiles

SMALL = dataclasses.replace(DESK, teacher="resnet8", images=40, teacher_images=40, validation_images=20, epochs=2)


def images(count, size=16):
    generator = np.random.default_rng(0)
    return generator.normal(size=(count, size, size, 3)).astype("float32"), np.arange(count) % 100


def test_stages_of_a_plan():
    teacher, student = build("resnet8", 16), build("resnet8", 16)
    sequence = sequence_of(Run("0.2 * FitNet > KD + 0.5*SP"), DESK, teacher, student)
    hint, joint = (stage.distiller for stage in sequence.stages)
    assert [stage.epochs for stage in sequence.stages] == [6, 6]
    assert float(hint.distillation_weight.numpy()) == pytest.approx(0.2 * 100)
    weights = [float(each.distillation_weight.numpy()) for each in joint.distillers]
    assert weights == pytest.approx([FACTORS["KD"] * 0.9, 0.5 * 3000])
    assert sequence.reference_weights == [0.0, 1.0]


def test_names_tell_runs_apart():
    runs = [Run("KD"), Run("KD", 1), Run("FitNet > KD"), Run("FitNet + KD"), Run("FitNet > KD", weighting="uniform")]
    assert len({run.name for run in runs}) == len(runs)
    assert Run("FitNet > KD", 3, weighting="uniform").label == "FitNet > KD, weighting=uniform"


def test_rates_of_the_field():
    rates = rates_of(FIELD, 240)
    assert [rates[epoch] for epoch in (0, 149, 150, 180, 210)] == pytest.approx([0.05, 0.05, 0.005, 0.0005, 0.00005])


def test_rates_are_those_of_the_epochs():
    sgd = optimizer(DESK, rates := rates_of(DESK, 3), images=100)
    of_steps = [float(keras.ops.convert_to_numpy(sgd._learning_rate(step))) for step in (0, 1, 2, 3, 4, 5, 99)]
    assert of_steps == pytest.approx([rates[0], rates[0], rates[1], rates[1], rates[2], rates[2], rates[2]])
    assert rates == pytest.approx([0.05, 0.05 * 0.75, 0.05 * 0.25])


def test_a_rate_that_does_not_restart_falls_over_all_stages():
    teacher, student = build("resnet8", 16), build("resnet8", 16)
    run = Run("FitNet > KD", restart=False)
    stages = sequence_of(run, DESK, teacher, student).stages
    falling = [rate for stage in stages for rate in stage.optimizer._learning_rate.rates]
    assert falling == rates_of(DESK, DESK.epochs)


def test_weightings():
    logits, y = np.log([[0.2, 0.8], [0.5, 0.5], [0.1, 0.9]]).astype("float32"), np.array([0, 0, 1])
    of = {name: rule for name, rule in WEIGHTINGS.items() if callable(rule)}
    weights = {name: keras.ops.convert_to_numpy(rule(logits, y)) for name, rule in of.items()}
    np.testing.assert_allclose(weights["known"], [0.2, 0.5, 0.9], rtol=1e-5)
    np.testing.assert_allclose(weights["shuffled"], [0.1, 0.8, 0.5], rtol=1e-5)
    np.testing.assert_allclose(weights["normalized_tcp"], np.array([0.8, 0.5, 0.1]) * 3 / 1.4, rtol=1e-5)
    assert all(np.mean(weights[name]) == pytest.approx(1) for name in of if name.startswith("normalized"))


def test_smaller_images_are_means():
    x = np.arange(2 * 4 * 4 * 3, dtype="float32").reshape(2, 4, 4, 3)
    np.testing.assert_allclose(reduced(x, 2)[1, 0, 1], x[1, :2, 2:].mean(axis=(0, 1)))


def test_no_image_is_in_two_parts():
    x = np.arange(100, dtype="float32").reshape(100, 1, 1, 1) * np.ones((1, 32, 32, 3), "float32")
    split = split_of(SMALL, ((x, np.arange(100)), (x[:5], np.arange(5))))
    assert set(split.student[1]) <= set(split.teacher[1])
    assert not set(split.teacher[1]) & set(split.validation[1])
    assert len(split.validation[1]) == 20


def test_views_take_turns():
    data = NewViews(*images(8), batch_size=4, seed=0, views=2)
    views = []
    for epoch in range(4):
        data.begin(epoch)
        views.append(data.inputs)
    assert np.array_equal(views[0], views[2])
    assert np.array_equal(views[1], views[3])
    assert not np.array_equal(views[0], views[1])


def test_a_run_says_what_it_reached(tmp_path):
    part = images(40)
    split = Split(part, part, images(20), images(10))
    result = train(Run("FitNet > KD"), SMALL, split, build("resnet8", 16), tmp_path)
    json.dumps(result)
    assert len(result["validation"]) == len(result["processor seconds"]) == 2
    assert result["processor seconds"] == sorted(result["processor seconds"])
    assert set(result["test"]) == {"last epoch", "best epoch"}
    assert np.shape(result["forgetting"]) == (2, 2)
    assert set(result["cosines"]) == {
        "cosine_label_distillation",
        "cosine_label_reference",
        "cosine_distillation_reference",
    }


def results(directory, plan, accuracies, curve=(10, 30), seconds=(1.0, 2.0)):
    for seed, accuracy in enumerate(accuracies):
        run = Run(plan, seed)
        result = {"run": dataclasses.asdict(run), "test": {"last epoch": accuracy, "best epoch": accuracy}}
        result.update({"validation": list(curve), "processor seconds": list(seconds)})
        (directory / f"{run.name}.json").write_text(json.dumps(result))


def test_summary(tmp_path):
    results(tmp_path, "alone", [30.0, 32.0, 31.0])
    results(tmp_path, "KD", [33.0, 34.0], curve=(30, 40), seconds=(1.5, 3.0))
    rows = summary.Summary(tmp_path)
    alone = rows.estimate("alone", summary.test)
    difference = rows.difference("KD", "alone", summary.test)
    assert (alone.mean, alone.seeds) == (31.0, 3)
    assert alone.error == pytest.approx(1 / math.sqrt(3))
    assert (difference.mean, difference.error, difference.seeds) == pytest.approx((2.5, 0.5, 2))
    assert rows.costs("KD").mean == 1.5
    assert rows.times_to_accuracy("KD") == [0.75, 0.75]


def test_the_runs_are_those_of_the_commands_on_the_page(monkeypatch):
    """All but one, which diverged; the winners of the searches are trained by these."""
    root = pathlib.Path(__file__).parent.parent
    results, expected = root / "benchmarks" / "results", set()
    for command in re.findall(
        r"^    python -m (benchmarks\.cifar100 .*)$", (root / "docs/results.md").read_text(), re.M
    ):
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        options = cifar100.arguments()
        expected |= {(options.protocol, f"{run.name}.json") for run in cifar100.runs_of(options)}
    for file in (results / "search").glob("*.json"):
        found = json.loads(file.read_text())
        expected |= {("desk", f"{Run(found['winner'], int(seed)).name}.json") for seed in found["test"]}
    made = {(file.parts[-3], file.name) for file in results.glob("*/*/*.json")}
    assert made ^ expected == {("desk", "100_x_VID_seed=5.json")}


def test_a_search_trains_its_winner(tmp_path):
    part = images(40)
    split = Split(part, part, images(20), images(10))
    protocol = dataclasses.replace(SMALL, epochs=3)
    task = search.Task(protocol, split, images(30), build("resnet8", 16), tmp_path / "work", tmp_path)
    search.find(2, 12, [0, 1], task)
    found = json.loads((tmp_path / "search" / "desk_max_stages=2.json").read_text())
    winners = [json.loads(file.read_text()) for file in (tmp_path / "desk").rglob("*.json")]
    assert found["spent"] == 12
    assert {Run(**winner["run"]).label for winner in winners} == {found["winner"]}
    assert found["test"] == {str(winner["run"]["seed"]): winner["test"]["last epoch"] for winner in winners}
