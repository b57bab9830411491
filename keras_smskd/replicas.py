"""Replicas: devices and processes that each take a part of every batch. The one module that knows of backends.

On JAX a training step sees the whole batch, however many devices share it. Elsewhere a replica sees its own part, and
Keras brings together what TensorFlow's replicas compute; PyTorch's processes do that here.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

Tensor = Any
Values = list[tuple[keras.Variable, Tensor]]


class Replicas:
    """A device, or many to which a step is one: nothing has to be brought together.

    Attributes:
        count: How many replicas take the training step that asks.
        processes: How many processes train together by `fit`.
        is_first: Whether this process is the one that writes files.
        evaluate_together: Whether processes wait for one another in steps of validation, too.
    """

    count = 1
    processes = 1
    is_first = True
    evaluate_together = False

    def gathered(self, tensors: Any) -> Any:
        """Tensors of the whole batch, in a structure, from those of a replica's part; gradients reach all parts."""
        return tensors

    @contextmanager
    def averaging(self, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
        """Makes an optimizer apply the mean of all processes' gradients, until the context ends."""
        yield

    def whole(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """Gradients of the loss of all replicas, from those of its part that each replica has; without None."""
        return gradients

    def summed(self, variables: Sequence[keras.Variable]) -> Values:
        """Variables of metrics, with values that are of all processes."""
        return []

    def align(self, variables: Sequence[keras.Variable]) -> None:
        """Gives all processes one value of each variable: the mean where it says so, else that of the first."""

    def numbers(self, number: int) -> list[int]:
        """The number that each process has; all have to ask."""
        return [number]


class TensorFlowReplicas(Replicas):
    """Replicas of a `tf.distribute.Strategy`, in one process."""

    def __init__(self) -> None:
        import tensorflow as tf  # noqa: PLC0415

        self.tf, self.context = tf, tf.distribute.get_replica_context()  # None outside of a step.
        self.count = self.context.num_replicas_in_sync if self.context else 1

    def gathered(self, tensors: Any) -> Any:
        return _mapped(self._gathered, tensors)

    def _gathered(self, tensor: Tensor) -> Tensor:
        devices = self.context.strategy.extended.worker_devices
        with self.tf.device(devices[0] if len(devices) == 1 else ""):  # A worker's only tensor must say where it is.
            every = self.context.all_gather(self.tf.identity(tensor), axis=0)
        every.set_shape((None, *tensor.shape[1:]))
        return every

    def whole(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        return self.context.all_reduce(self.tf.distribute.ReduceOp.SUM, list(gradients))


class TorchReplicas(Replicas):
    """Processes of the default group of `torch.distributed`, each with a model and a part of the data of its own."""

    def __init__(self) -> None:
        import torch  # noqa: PLC0415

        self.torch, self.distributed = torch, torch.distributed
        if self.distributed.is_available() and self.distributed.is_initialized():
            self.count = self.processes = self.distributed.get_world_size()
            self.is_first = self.distributed.get_rank() == 0

    def gathered(self, tensors: Any) -> Any:
        return _mapped(self._gathered, tensors)

    def _gathered(self, tensor: Tensor) -> Tensor:
        """The parts of all processes. Each has the gradient with respect to its own, of a loss that all have."""
        own = tensor.contiguous().view_as(tensor)
        parts = [self.torch.empty_like(own) for _ in range(self.count)]
        self.distributed.all_gather(parts, own.detach())
        if own.requires_grad:  # The optimizer takes the mean of the gradients, where this one takes a sum.
            own.register_hook(lambda gradient: gradient * self.count)
        parts[self.distributed.get_rank()] = own
        return self.torch.cat(parts)

    @contextmanager
    def averaging(self, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
        apply = optimizer.apply

        def apply_mean(gradients: Sequence[Tensor], variables: Any = None) -> Any:
            self.whole([gradient for gradient in gradients if gradient is not None])
            return apply(gradients, variables)

        optimizer.apply = apply_mean
        try:
            yield
        finally:
            del optimizer.apply

    def whole(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        self._mean(gradients)
        return gradients

    def summed(self, variables: Sequence[keras.Variable]) -> Values:
        values = [variable.value.detach().clone() for variable in variables]
        self._together(self.distributed.all_reduce, values)
        return list(zip(variables, values, strict=True))

    def align(self, variables: Sequence[keras.Variable]) -> None:
        kinds: dict[bool, list[Tensor]] = {True: [], False: []}
        for variable in variables:
            is_mean = variable.aggregation == "mean" and variable.value.is_floating_point()
            kinds[is_mean].append(variable.value)
        self._mean(kinds[True])
        self._together(functools.partial(self.distributed.broadcast, src=0), kinds[False])

    def numbers(self, number: int) -> list[int]:
        every: list[Any] = [None] * self.count
        self.distributed.all_gather_object(every, number)
        return every

    def _mean(self, tensors: Sequence[Tensor]) -> None:
        """Gives tensors the mean of all processes in place."""

        def mean(vector: Tensor) -> None:
            self.distributed.all_reduce(vector)
            vector /= self.count

        self._together(mean, tensors)

    def _together(self, collective: Any, tensors: Sequence[Tensor]) -> None:
        """Applies a collective operation to tensors in place, to those of one dtype as one vector."""
        with self.torch.no_grad():
            for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
                of_dtype = [tensor for tensor in tensors if tensor.dtype == dtype]
                vector = self.torch.cat([tensor.reshape(-1) for tensor in of_dtype])
                collective(vector)
                parts = vector.split([tensor.numel() for tensor in of_dtype])
                for tensor, part in zip(of_dtype, parts, strict=True):
                    tensor.copy_(part.view_as(tensor))


class JaxReplicas(Replicas):
    """Processes of `keras.distribution.initialize`, to which a step is one."""

    evaluate_together = True

    def __init__(self) -> None:
        import jax  # noqa: PLC0415

        self.processes = jax.process_count()
        self.is_first = jax.process_index() == 0

    def numbers(self, number: int) -> list[int]:
        from jax.experimental import multihost_utils  # noqa: PLC0415

        return [int(each) for each in multihost_utils.process_allgather(keras.ops.convert_to_numpy(number))]


def _mapped(gather: Any, tensors: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: None if tensor is None else gather(tensor), tensors)


KINDS: dict[str, type[Replicas]] = {"tensorflow": TensorFlowReplicas, "torch": TorchReplicas, "jax": JaxReplicas}


def replicas() -> Replicas:
    """Those that train here now: a strategy is known within its steps, and a process group once it is made."""
    here = KINDS.get(keras.backend.backend(), Replicas)()
    return here if max(here.count, here.processes) > 1 else Replicas()


def check_fit(model: keras.Model) -> None:
    """Raises if Keras cannot `fit` where the model was built."""
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf  # noqa: PLC0415

    if isinstance(model.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
        raise NotImplementedError(
            "`fit` does not run under `tf.distribute.MultiWorkerMirroredStrategy`, for any model of Keras 3 (its "
            "issue 20585). Write the loop that docs/several_devices.md shows, or train on JAX or PyTorch, which "
            "`fit` in several processes. Received: a model that was built in the scope of this strategy."
        )
