"""A distiller of every method, on models whose layers have the names used here."""

from typing import Any

import keras

import keras_smskd as smskd

NO_METHODS = ("Distiller", "ProjectedDistiller", "JointDistiller", "reuse_classifier")
METHODS = [name.removesuffix("Distiller") for name in smskd.distillers.__all__ if name not in NO_METHODS]

ON_MAPS = ("AT", "CWD", "DISTPlus", "FT", "FitNet", "ICKD", "KTA", "MGD", "NST", "PAD", "SRRL", "VID")
ON_LEVELS = ("FSP", "KDSVD", "ReviewKD", "SemCKD")
ON_VECTORS = ("CC", "CRD", "PKT", "RKD", "SP", "SRD", "SSKD")
ON_TOKENS = ("Cosine", "Hidden", "MMD", "PKD")
LAYERS = {
    **dict.fromkeys(ON_MAPS, ["stage3"]),
    **dict.fromkeys(ON_LEVELS, ["stage2", "stage3"]),
    **dict.fromkeys(ON_VECTORS, ["pool"]),
    **dict.fromkeys(ON_TOKENS, ["tokens"]),
    **dict.fromkeys(("AB", "OFD"), ["normalization"]),
    "Attention": ["attention/softmax"],
    "MiniLM": ["attention/softmax", "attention/value"],
}
OF_TRANSFORMERS = (*ON_TOKENS, "Attention", "MiniLM")


def make(
    method: str, teacher: keras.Model | None, student: keras.Model, samples: int, batch_size: int, **further: Any
) -> smskd.Distiller:
    """Makes the distiller of a method, for that many samples and batches of that size at most.

    The student of SimKD is one of `reuse_classifier`, in which other methods find the pool of the teacher. `further`
    arguments come before the method's own ones here.
    """
    own: dict[str, dict[str, Any]] = {
        "CRD": {"samples": samples},
        "SRRL": {"classifier": "head"},
        "SemCKD": {"batch_size": batch_size},
        "SimKD": {"layers": {"stage3": "reused_projector"}},
    }
    names = {layer.name for layer in student.layers}
    arguments = own.get(method, {})
    if method in LAYERS:
        layers = {name: name if name.split("/")[0] in names else f"reused_classifier/{name}" for name in LAYERS[method]}
        arguments = {"layers": layers, **arguments}
    return getattr(smskd, f"{method}Distiller")(teacher, student, **{**arguments, **further})
