"""What a run is: all that must be the same for a checkpoint of it to go on."""

import json
from typing import Any

import keras
import numpy as np

from keras_smskd.backup.plain import SCALARS
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
    "validation_freq",
    "validation_steps",
    "backup_best",
)


def description(sequence: Any, arguments: dict[str, Any], callbacks: Any, seed: int | None) -> dict[str, Any]:
    """A run in JSON: versions, plan, optimizers, models, losses and metrics, cache, data and callbacks."""
    described = {
        "versions": {"keras_smskd": __version__, "keras": keras.__version__, "backend": keras.backend.backend()},
        "seed": seed,
        "stages": [{**plan, **_of_stage(stage)} for plan, stage in zip(sequence.plan(), sequence.stages, strict=True)],
        "student": _shapes(sequence.student),
        "weights of teachers": fingerprint(sequence.stages[0].distiller.teachers),
        "compile": _plain(sequence._compile_arguments()),
        "callbacks": [type(callback).__name__ for callback in keras.tree.flatten(callbacks)],
    }
    return {**_in_json(described), **description_of_fit(arguments)}


def description_of_fit(arguments: dict[str, Any]) -> dict[str, Any]:
    """What `fit` is given to train on, and in which batches, in JSON."""
    described = {
        "data": {name: _size(arguments[name]) for name in DATA if arguments.get(name) is not None},
        "cache": arguments["cache"].described() if arguments["cache"] else None,
        "fit": {name: _with_text_keys(arguments[name]) for name in VALUES if arguments.get(name) is not None},
    }
    return _in_json(described)


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


def _plain(values: Any) -> Any:
    """Losses, metrics and choices: numbers and names as they are, objects by class and plain configuration."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    if isinstance(values, SCALARS):
        return values
    kind = getattr(values, "__name__", type(values).__name__)
    config = values.get_config() if isinstance(values, keras.Loss | keras.Metric) else {}
    return [kind, {name: value for name, value in config.items() if isinstance(value, SCALARS) and name != "name"}]


def _with_text_keys(value: Any) -> Any:
    """A dict with the keys that JSON knows; anything else as it is."""
    return {str(name): of_name for name, of_name in value.items()} if isinstance(value, dict) else value


def _in_json(described: dict[str, Any]) -> Any:
    """A number of NumPy as one of Python, anything that JSON does not know in words."""

    def plain(value: Any) -> Any:
        return value.item() if isinstance(value, np.generic) else str(value)

    return json.loads(json.dumps(described, default=plain))


def _shapes(model: keras.Model) -> list[str]:
    """The layers of a model, and the shapes of its weights."""
    layers = [type(layer).__name__ for layer in model.layers]
    return [*layers, *(str(tuple(weight.shape)) for weight in model.weights)]


def _size(data: Any) -> Any:
    """The shapes of arrays, the length of anything else that knows it."""
    if isinstance(data, tuple | list | dict) or hasattr(data, "shape"):
        arrays = [leaf for leaf in keras.tree.flatten(data) if hasattr(leaf, "shape")]
        return [f"{tuple(array.shape)} {getattr(array, 'dtype', None)}" for array in arrays]
    try:
        length = len(data)
    except (TypeError, NotImplementedError):  # Endless, or not known before it is read.
        length = None
    return [type(data).__name__, length]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
