"""The methods of a study, on the layers of the field's benchmarks, with weights by validation."""

from collections.abc import Callable
from typing import Any

import keras

import keras_smskd as smskd

MIDDLE, LAST, POOL = {"stage2": "stage2"}, {"stage3": "stage3"}, {"pool": "pool"}
ALL = {f"stage{number}": f"stage{number}" for number in (1, 2, 3)}

Make = Callable[[keras.Model, keras.Model, int], smskd.Distiller]


def _on(distiller: type[smskd.Distiller], layers: dict[str, str] | None = None, **arguments: Any) -> Make:
    """Makes a distiller for a teacher, a student and a number of training images, which it has no use for."""
    tapped = {} if layers is None else {"layers": layers}
    return lambda teacher, student, images: distiller(teacher, student, **tapped, **arguments)


def _crd(teacher: keras.Model, student: keras.Model, images: int) -> smskd.Distiller:
    return smskd.CRDDistiller(teacher, student, layers=POOL, samples=images, negatives=min(16384, images // 10))


METHODS: dict[str, Make] = {
    "KD": _on(smskd.KDDistiller),
    "DKD": _on(smskd.DKDDistiller, beta=2.0),
    "FitNet": _on(smskd.FitNetDistiller, MIDDLE),
    "AT": _on(smskd.ATDistiller, ALL),
    "SP": _on(smskd.SPDistiller, LAST),
    "RKD": _on(smskd.RKDDistiller, POOL),
    "PKT": _on(smskd.PKTDistiller, POOL),
    "CRD": _crd,
    "VID": _on(smskd.VIDDistiller, ALL),
}

FACTORS = {"KD": 10.0, "FitNet": 0.1, "AT": 0.1, "SP": 0.1, "RKD": 0.1, "VID": 10.0}
"""Of the published weights, by the validation accuracy of `study weights edges --seeds 5`; 1 for all others."""
