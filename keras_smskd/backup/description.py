"""What a run is: all that must be the same for a checkpoint of it to go on."""

import json
from typing import Any

import keras

from keras_smskd.cache.digests import fingerprint
from keras_smskd.version import __version__

DATA = ("x", "y", "sample_weight", "validation_data")
VALUES = (
    "batch_size",
    "backup_every",
    "steps_per_epoch",
    "validation_split",
    "validation_batch_size",
    "class_weight",
    "shuffle",
)


def description(sequence: Any, arguments: dict[str, Any], callbacks: Any, seed: int | None) -> dict[str, Any]:
    """A run in JSON: versions, plan, optimizers, models, data and callbacks."""
    described = {
        "versions": {"keras_smskd": __version__, "keras": keras.__version__, "backend": keras.backend.backend()},
        "seed": seed,
        "stages": [{**plan, **_of_stage(stage)} for plan, stage in zip(sequence.plan(), sequence.stages, strict=True)],
        "student": _shapes(sequence.student),
        "teachers": fingerprint(sequence.stages[0].distiller.teachers),
        "data": {name: _size(arguments[name]) for name in DATA if arguments.get(name) is not None},
        "fit": {name: arguments[name] for name in VALUES if arguments.get(name) is not None},
        "callbacks": [type(callback).__name__ for callback in keras.tree.flatten(callbacks)],
    }
    return json.loads(json.dumps(described, default=str))


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """Where two descriptions differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = list(dict.fromkeys([*before, *now]))
        pairs = [(f"{path}.{name}".lstrip("."), before.get(name), now.get(name)) for name in names]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = [(f"{path}[{index}]", a, b) for index, (a, b) in enumerate(zip(before, now, strict=True))]
    else:
        return [] if before == now else [f"{path}: {_short(before)} before, {_short(now)} now"]
    return [difference for pair in pairs for difference in differences(pair[1], pair[2], pair[0])]


def _of_stage(stage: Any) -> dict[str, Any]:
    optimizer = stage.distiller.optimizer.get_config()
    return {
        "optimizer": {name: value for name, value in optimizer.items() if name != "name"},
        "callbacks": [type(callback).__name__ for callback in stage.callbacks],
    }


def _shapes(model: keras.Model) -> list[str]:
    """The layers of a model, and the shapes of its weights."""
    layers = [type(layer).__name__ for layer in model.layers]
    return [*layers, *(str(tuple(weight.shape)) for weight in model.weights)]


def _size(data: Any) -> Any:
    """The shapes of arrays, the length of anything else that has one."""
    if isinstance(data, tuple | list | dict) or hasattr(data, "shape"):
        return [f"{tuple(leaf.shape)} {leaf.dtype}" for leaf in keras.tree.flatten(data) if hasattr(leaf, "shape")]
    return [type(data).__name__, len(data) if hasattr(data, "__len__") else None]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
