"""What makes a model compute what another one of its architecture computes: its weights, and its LoRA."""

import itertools
import re
from typing import Any

import keras

from keras_smskd.features import inner_layers

Lora = list[list[int] | None]


def take_over(copy: keras.Model, model: keras.Model) -> None:
    """Makes `copy`, of the same architecture, compute what `model` computes.

    Args:
        copy: The model that changes.
        model: The model that is copied; its LoRA may have been enabled after it was built.

    Raises:
        ValueError: If the weights of the two are of different shapes.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> copy = keras.models.clone_model(model)
    >>> model.layers[0].enable_lora(rank=2)
    >>> take_over(copy, model)
    >>> copy.layers[0].lora_rank
    2
    """
    enable_lora(copy, lora_of(model))
    for weight, value in zip(_in_order(copy), _in_order(model), strict=True):
        weight.assign(value.numpy())


def lora_of(model: keras.Model) -> Lora:
    """Rank and alpha of every layer that can have LoRA, None where it has not."""
    layers = _layers_with_lora(model)
    return [[layer.lora_rank, getattr(layer, "lora_alpha", 0)] if layer.lora_enabled else None for layer in layers]


def enable_lora(model: keras.Model, lora: Lora) -> None:
    """Gives the layers of a model the `lora_of` another one; what they have already stays."""
    for layer, enabled in zip(_layers_with_lora(model), lora, strict=True):
        if enabled is not None:
            rank, alpha = enabled
            if not layer.lora_enabled:
                layer.enable_lora(rank)
            layer.lora_alpha = alpha  # Keras keeps it in a configuration, and forgets it when it builds the layer.


def _layers_with_lora(model: keras.Model) -> list[Any]:
    return [layer for _, layer in inner_layers(model) if hasattr(layer, "lora_enabled")]


def _in_order(model: keras.Model) -> list[Any]:
    """The weights, those of a layer by name: one that was quantised has them in another order than one made so.

    A layer is known as itself, since paths differ between a model and its clone.
    """
    layers = (model, *(layer for _, layer in inner_layers(model)))  # Parents first: the innermost layer is noted.
    layer_of = {id(weight): id(layer) for layer in layers for weight in layer.weights}
    of_layers = itertools.groupby(model.weights, key=lambda weight: layer_of[id(weight)])
    return [weight for _, weights in of_layers for weight in sorted(weights, key=_name)]


def _name(weight: Any) -> str:
    """The name, without the number that Keras puts behind one that it has made up."""
    return re.sub(r"_\d+$", "", weight.name)
