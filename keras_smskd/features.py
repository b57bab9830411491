"""One forward pass of an unmodified model gives its logits and the features of chosen layers."""

import difflib
import functools
import math
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

Tensor = Any
Features = dict[str, Tensor]

LOGITS = "logits"
_lock = threading.Lock()


class FeatureExtractor:
    """Calls a model once and returns `{"logits": output, layer path: feature, ...}` in float32.

    The layers may sit in a model of any kind (Functional, Sequential, nested, subclassed). Each layer's `call` is
    stood in for while the model runs, so the model itself never changes, and each must fire exactly once.

    Args:
        model: A built Keras model with one output.
        paths: Paths of layers, such as `"stage2"` or `"backbone/stage2"`. `"logits"` is the output of the model.
        role: `"teacher"` or `"student"`, for error texts.
        inputs: The batch that `example` is taken from. Default: random inputs.

    Raises:
        ValueError: If a path names no layer, or a layer that does not fire exactly once or returns several tensors.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2)])
    >>> sorted(FeatureExtractor(model, ["hidden"], role="student").shapes.items())
    [('hidden', (3,)), ('logits', (2,))]
    """

    def __init__(self, model: keras.Model, paths: Sequence[str], role: str, inputs: Any = None) -> None:
        self.model = model
        self.role = role
        self.inputs = inputs
        self.layers = {path: find_layer(model, path, role) for path in paths if path != LOGITS}

    def __call__(self, x: Tensor, training: bool | None = False) -> Features:
        with ExitStack() as stack:
            fired = {path: stack.enter_context(outputs_of(layer)) for path, layer in self.layers.items()}
            fired[LOGITS] = [self.model(taken_of(x, getattr(self.model, "input", None)), training=training)]
        return {path: keras.ops.cast(self._single(path, outputs), precision()) for path, outputs in fired.items()}

    def frozen(self, x: Tensor) -> Features:
        """Calls the model for its knowledge alone: in inference mode, with no gradient through it."""
        with without_gradients(self.model):
            return {path: keras.ops.stop_gradient(output) for path, output in self(x).items()}

    @functools.cached_property
    def example(self) -> dict[str, np.ndarray]:
        """The outputs for an example: what shapes and checks at construction are read from."""
        outputs = self(example_inputs(self.model) if self.inputs is None else self.inputs)
        return {path: keras.ops.convert_to_numpy(output) for path, output in outputs.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every feature, without the batch."""
        return {path: output.shape[1:] for path, output in self.example.items()}

    def _single(self, path: str, outputs: list[Any]) -> Tensor:
        what = f"`{self.role}`" if path == LOGITS else f"Layer '{path}' of the {self.role} in `layers`"
        if len(outputs) != 1:
            raise ValueError(
                f"{what} must fire exactly once in a forward pass of "
                f"the model, to say which output is the feature. Received: a layer that fired {len(outputs)} times. "
                "Choose a layer that is neither shared nor unused, or the model that contains it."
            )
        if isinstance(outputs[0], dict | list | tuple):
            raise ValueError(
                f"{what} must have one output tensor. Received: a {type(outputs[0]).__name__} of {len(outputs[0])} in "
                f"the model '{self.model.name}'."
            )
        return outputs[0]


class _Tap:
    """Stands in for a layer's `call` and keeps what it returned, apart for every thread (replicas are threads)."""

    def __init__(self, layer: keras.Layer, method: str) -> None:
        self.call = getattr(layer, method)
        self.outputs: dict[int, list[Any]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outputs = self.call(*args, **kwargs)
        if threading.get_ident() in self.outputs:
            self.outputs[threading.get_ident()].append(outputs)
        return outputs


@contextmanager
def outputs_of(layer: keras.Layer) -> Iterator[list[Any]]:
    """Yields the list into which `layer` puts each of its outputs until the context ends."""
    method = "call" if getattr(layer, "quantization_mode", None) is None else "quantized_call"
    thread = threading.get_ident()
    with _lock:
        tap = vars(layer).get(method)
        if not isinstance(tap, _Tap):
            tap = _Tap(layer, method)
            object.__setattr__(layer, method, tap)
        outputs = tap.outputs.setdefault(thread, [])
    try:
        yield outputs
    finally:
        with _lock:
            tap.outputs.pop(thread, None)
            if not tap.outputs:
                vars(layer).pop(method, None)


@contextmanager
def without_gradients(model: keras.Model) -> Iterator[None]:
    """Keeps PyTorch from recording a backward pass through `model`; every variable's `trainable` comes back."""
    variables = model.trainable_variables
    try:
        for variable in variables:
            variable.trainable = False
        yield
    finally:
        for variable in variables:
            variable.trainable = True


def precision() -> str:
    """The dtype of all losses: at least float32, whatever the models compute in."""
    return "float64" if keras.config.floatx() == "float64" else "float32"


def example_inputs(model: keras.Model, batch_size: int = 2, free_size: int = 32) -> Any:
    """Random inputs for a built model; a size that the model leaves free becomes `free_size`.

    Integers are 0 or 1, which any vocabulary has, and begin with 1, since 0 may be masked.
    """
    generator = np.random.default_rng(0)

    def example(x: keras.KerasTensor) -> np.ndarray:
        shape = (x.shape[0] or batch_size, *(free_size if size is None else size for size in x.shape[1:]))
        if "int" not in x.dtype:
            return generator.normal(size=shape).astype(x.dtype)
        values = generator.integers(0, 2, size=(shape[0], math.prod(shape[1:])))
        values[:, 0] = 1
        return values.reshape(shape).astype(x.dtype)

    return keras.tree.map_structure(example, input_specs(model))


def taken_of(x: Any, wanted: Any) -> Any:
    """Of named inputs those that a model wants, by name too: the other model may take more."""
    is_by_name = isinstance(x, dict) and isinstance(wanted, dict)
    return {name: x[name] for name in wanted if name in x} if is_by_name else x


def input_specs(model: keras.Model) -> Any:
    """The symbolic inputs of a built model; a single one in a list is what is fed without."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0]
    if hasattr(model, "input"):
        return model.input[0] if isinstance(model.input, list | tuple) and len(model.input) == 1 else model.input
    config = model.get_build_config() or {}
    if "input_shape" not in config:
        raise ValueError(
            f"The input shape of the model '{model.name}' is unknown. Give its `call` a single input and call it on a "
            "batch, or build it with the Functional API."
        )
    return keras.KerasTensor((None, *config["input_shape"][1:]), keras.config.floatx())


def find_layer(model: keras.Model, path: str, role: str, argument: str = "layers") -> keras.Layer:
    """Returns the layer at `path`, one name for every nested model on the way.

    The number that Keras puts behind the name of an unnamed layer differs from process to process and may be left out.
    """
    if not isinstance(path, str):
        raise TypeError(
            f"`{argument}` must name a layer of the {role} by a string. Received: {path!r} (of type {type(path)})."
        )
    layer: keras.Layer = model
    for name in path.split("/"):
        layer = _child(layer, name)
        if layer is None:
            raise ValueError(_unknown_layer(model, path, role, argument))
    return layer


def _child(layer: keras.Layer, name: str) -> keras.Layer | None:
    """The layer of that name directly inside another one, else the only one of that name with a number behind it."""
    children = sublayers(layer)
    numbered = [child for child in children if re.fullmatch(rf"{re.escape(name)}_\d+", child.name)]
    alone = numbered[0] if len(numbered) == 1 else None
    return next((child for child in children if child.name == name), alone)


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """The layers directly inside a model or a composite layer."""
    inside = layer.layers if isinstance(layer, keras.Model) else keras.tree.flatten(list(vars(layer).values()))
    return list({id(child): child for child in inside if isinstance(child, keras.Layer)}.values())


def layer_paths(layer: keras.Layer) -> dict[str, keras.Layer]:
    """All layers inside `layer`, at any depth, by path."""
    return dict(inner_layers(layer))


def inner_layers(
    layer: keras.Layer, prefix: str = "", above: tuple[int, ...] = ()
) -> Iterator[tuple[str, keras.Layer]]:
    """Path and layer of all inside `layer`, parents first; `above` keeps one that knows its parent from looping."""
    above = (*above, id(layer))
    for child in sublayers(layer):
        if id(child) not in above:
            yield prefix + child.name, child
            yield from inner_layers(child, f"{prefix}{child.name}/", above)


def _unknown_layer(model: keras.Model, path: str, role: str, argument: str) -> str:
    known = list(layer_paths(model))
    nearest = difflib.get_close_matches(path, known, n=5, cutoff=0.3) or known[:10]
    return (
        f"The {role} '{model.name}' has no layer '{path}', which `{argument}` names. The nearest names are: "
        f"{', '.join(map(repr, nearest))}. A layer inside a nested model is a path such as 'backbone/stage3'; "
        "`layers` are {teacher_layer: student_layer}, in this direction."
    )
