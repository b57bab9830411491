"""Every misuse is an error that names the argument and what would do, and nothing is trained."""

import re

import pytest

from tests.bad_input import (
    of_caches,
    of_callbacks,
    of_compile,
    of_data,
    of_fit,
    of_layers,
    of_methods,
    of_models,
    of_numbers,
    of_runs,
    of_sequences,
)
from tests.bad_input.world import STUDENT, WATCHED, X, Y, compiled, kd, sequence
from tests.models import assert_same_weights, label_loss, weights_of

TABLES = (
    *(of_models, of_layers, of_numbers, of_methods),
    *(of_compile, of_fit, of_sequences, of_callbacks, of_caches, of_runs),
)
MISUSES = {
    f"{table.__name__.rpartition('.of_')[2]}: {name}": misuse
    for table in TABLES
    for name, misuse in table.MISUSES.items()
}
WAYS = {
    "distiller": lambda x, y, loss: compiled(kd(), loss).fit(x, y, verbose=0),
    "sequence": lambda x, y, loss: compiled(sequence(), loss).fit(x, y, verbose=0),
    "batch": lambda x, y, loss: compiled(kd(), loss).train_on_batch(x, y),
}


@pytest.fixture
def nothing_trains(tmp_path, monkeypatch):
    """All models stay as they are, to their `trainable` flags, while a test runs in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    before, flags = [weights_of(model) for model in WATCHED], _flags()
    yield
    for model, weights in zip(WATCHED, before, strict=True):
        assert_same_weights(model, weights)
    assert _flags() == flags


def _flags():
    return [variable.trainable for model in WATCHED for variable in model.variables]


@pytest.mark.parametrize("name", MISUSES)
@pytest.mark.usefixtures("nothing_trains")
def test_misuse(name):
    use, error, message = MISUSES[name]
    with pytest.raises(error, match=message) as caught:
        use()
    assert re.search(r"`[\w.]+", str(caught.value)), "The message names no argument."


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", of_data.MISUSES)
@pytest.mark.usefixtures("nothing_trains")
def test_data(name, way):
    (x, y, loss), error, message = of_data.MISUSES[name]
    with pytest.raises(error, match=message):
        WAYS[way](x, y, loss)


@pytest.mark.parametrize("way", WAYS)
def test_the_right_use_trains(way):
    """What the tests above take for granted: that they would see it."""
    before, weights = weights_of(STUDENT), STUDENT.get_weights()
    WAYS[way](X, Y, label_loss())
    with pytest.raises(AssertionError):
        assert_same_weights(STUDENT, before)
    STUDENT.set_weights(weights)


def test_there_are_enough_of_them():
    tables = [of_data.MISUSES, of_compile.ONCE, *(table.MISUSES for table in TABLES if table is not of_compile)]
    assert sum(map(len, tables)) >= 250
