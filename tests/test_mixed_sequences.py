"""Methods of all kinds, and one from outside the package, one after another."""

import importlib.util
import pathlib

import numpy as np
import pytest

import keras_smskd as smskd
from tests.models import convolutional, images, label_loss

pytestmark = pytest.mark.compiles

EXAMPLE = pathlib.Path(__file__).parent.parent / "examples" / "custom_distiller.py"


def from_outside():
    spec = importlib.util.spec_from_file_location("custom_distiller", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DirectionDistiller


def test_eight_stages_of_all_kinds():
    teacher, student = convolutional(4), convolutional(3)
    maps, pool = {"layers": {"stage2": "stage2"}}, {"layers": {"pool": "pool"}}
    stages = [
        smskd.FitNetDistiller(teacher, student, **maps),
        smskd.KDDistiller(teacher, student),
        smskd.RKDDistiller(teacher, student, **pool),
        from_outside()(teacher, student, **pool),
        smskd.VIDDistiller(teacher, student, **maps),
        smskd.NKDDistiller(teacher, student),
        smskd.PKTDistiller(teacher, student, **pool),
        smskd.CRDDistiller(teacher, student, samples=16, negatives=8, size=4, **pool),
    ]
    sequence = smskd.SequentialDistiller(stages)
    sequence.compile("sgd", label_loss())
    history = sequence.fit(*images(16), batch_size=8, verbose=0)
    names = ["FitNet", "KD", "RKD", "Direction", "VID", "NKD", "PKT", "CRD"]
    assert [stage.name for stage in history.stages] == names
    assert np.isfinite(history.history["loss"]).all()
    assert np.isfinite(history.history["reference_loss"][1:]).all()
