"""A source that must be iterated cannot be checked as a whole: what is wrong with it ends the first epoch."""

import numpy as np
import pytest

import keras_smskd as smskd
from tests.bad_input import of_data
from tests.bad_input.world import Batches, X, Y, compiled
from tests.models import dense, label_loss


def models():
    return dense(8), dense(3)


@pytest.mark.parametrize("name", of_data.LABELS)
def test_bad_labels(name):
    (x, y, _), error, message = of_data.LABELS[name]
    distiller = smskd.KDDistiller(*models(), label_weight=0.0)  # Without a label loss, which some backends check.
    distiller.compile("sgd")
    with pytest.raises(error, match=message):
        distiller.fit(Batches(x, y), verbose=0)


@pytest.mark.parametrize("name", of_data.LABELS_OF_OTHER_LOSSES)
def test_labels_of_other_losses(name):
    (x, y, loss), error, message = of_data.LABELS_OF_OTHER_LOSSES[name]
    with pytest.raises(error, match=message):
        compiled(smskd.KDDistiller(*models()), loss).fit(Batches(x, y), verbose=0)


def test_batches_without_relations():
    distiller = compiled(smskd.RKDDistiller(*models(), layers={"hidden": "hidden"}))
    with pytest.raises(ValueError, match="`batch_size` must be at least 3 for RKD"):
        distiller.fit(Batches(batch_size=2), verbose=0)


def test_weighting_of_the_wrong_shape():
    distillers = [smskd.KDDistiller(*pair) for pair in [models()] * 2]
    distiller = smskd.SequentialDistiller(distillers, weighting=lambda logits, y: logits)
    with pytest.raises(ValueError, match="`weighting` must return one weight for every sample"):
        compiled(distiller).fit(((x[None], y[None]) for x, y in zip(X, Y, strict=True)), steps_per_epoch=1, verbose=0)


def test_labels_that_are_missing():
    distiller = compiled(smskd.KDDistiller(*models()), label_loss())
    with pytest.raises(ValueError, match="`y` must be given for the label loss"):
        distiller.fit(Batches(np.concatenate([X, X]), None), verbose=0)
