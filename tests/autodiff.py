"""Value and gradients of a function of arrays, on whichever backend runs."""

import keras
import numpy as np


def value_and_gradients(function, inputs):
    """Returns `function(**inputs)` (a scalar) and its gradients with respect to every floating-point input."""
    differentiated = [name for name, value in inputs.items() if value.dtype.kind == "f"]
    value, gradients = _BACKENDS[keras.backend.backend()](function, inputs, differentiated)
    return float(value), {name: np.asarray(keras.ops.convert_to_numpy(gradients[name])) for name in differentiated}


def evaluate(function, *inputs):
    """Returns `function(*inputs)` as an array. JAX compiles it whole, which is faster than operation by operation."""
    tensors = map(keras.ops.convert_to_tensor, inputs)
    if keras.backend.backend() == "jax":
        import jax

        function = jax.jit(function)
    return keras.ops.convert_to_numpy(function(*tensors))


def _tensorflow(function, inputs, differentiated):
    import tensorflow as tf

    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    with tf.GradientTape() as tape:
        for name in differentiated:
            tape.watch(tensors[name])
        value = function(**tensors)
    gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
    return value, {name: tf.convert_to_tensor(gradients[name]) for name in differentiated}


def _jax(function, inputs, differentiated):
    import jax

    rest = {name: value for name, value in inputs.items() if name not in differentiated}
    differentiate = jax.jit(jax.value_and_grad(lambda chosen: function(**chosen, **rest)))
    return differentiate({name: inputs[name] for name in differentiated})


def _torch(function, inputs, differentiated):
    import torch

    tensors = {name: torch.tensor(value, requires_grad=name in differentiated) for name, value in inputs.items()}
    value = function(**tensors)
    chosen = [tensors[name] for name in differentiated]
    gradients = torch.autograd.grad(value, chosen, allow_unused=True)
    zero = [torch.zeros_like(x) if gradient is None else gradient for x, gradient in zip(chosen, gradients)]
    return value.detach(), dict(zip(differentiated, zero))


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
