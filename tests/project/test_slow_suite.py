"""What the slow suite printed last is kept, whole and passed."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
KEPT = {path.stem: path.read_text() for path in (ROOT / "benchmarks" / "slow_tests").glob("*.txt")}
BACKENDS = ["tensorflow", "jax", "torch"]
HUB, FIRST_STEPS = ["keras_hub_jax", "keras_hub_torch"], ["first_steps_jax", "first_steps_torch"]
OF_TESTS = [*BACKENDS, *(f"lowest_keras_{backend}" for backend in BACKENDS), *HUB]


def test_every_part_is_kept():
    assert sorted(KEPT) == sorted([*OF_TESTS, *FIRST_STEPS, "packages", "quickstart", "tutorials"])


@pytest.mark.parametrize("part", OF_TESTS)
def test_all_tests_passed(part):
    (result,) = re.findall(r"(?m)^\d+ passed.* in .*$", KEPT[part])
    assert "failed" not in result
    assert "error" not in result


@pytest.mark.parametrize("part", HUB)
def test_keras_hub_was_there(part):
    assert " skipped" not in KEPT[part]


def test_what_is_built_trains_with_every_backend_alone():
    assert re.findall(r"on (\w+): installed, two stages trained", KEPT["packages"]) == [*BACKENDS, "jax"]


@pytest.mark.parametrize("part", ["quickstart", *FIRST_STEPS])
def test_the_quickstart_ends_with_a_student(part):
    assert "\nThe student of SMSKD: " in KEPT[part]


@pytest.mark.parametrize("part", FIRST_STEPS)
def test_a_tutorial_runs_on_other_backends(part):
    assert list(seconds(part)) == ["three_stages"]


def test_a_tutorial_takes_less_than_five_minutes():
    assert sorted(seconds("tutorials")) == sorted(path.stem for path in (ROOT / "examples/notebooks").glob("*.ipynb"))
    assert max(seconds("tutorials").values()) < 300


def seconds(part):
    """What tutorials took by the clock."""
    taken = re.findall(r"(?m)^(\w+): .* (\d+) s by the clock$", KEPT[part])
    return {name: int(number) for name, number in taken}
