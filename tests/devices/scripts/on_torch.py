"""One of several processes of PyTorch, each with a part of every batch."""

import keras
import pytest
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

import keras_smskd as smskd
from keras_smskd.replicas import replicas
from tests.devices import world
from tests.models import convolutional, images, label_loss, weights_of


def loop(part, epochs=2, size=4):
    """The loop of docs/several_devices.md."""
    distiller = world.relations(*world.models())[0]
    distiller.compile(keras.optimizers.SGD(0.01, momentum=0.9), label_loss(), gather=True)
    distiller.teacher.trainable = False
    parallel = DistributedDataParallel(distiller)
    samples = [torch.tensor(array[part]) for array in (world.X, world.Y, world.WEIGHTS.astype("float32"))]
    for _ in range(epochs):
        for x, y, weights in zip(*(array.split(size) for array in samples), strict=True):
            distiller.zero_grad()
            with distiller.in_mode("train"):
                outputs = parallel(x, training=True)
            distiller.compute_loss(x, y, outputs, weights).backward()
            variables = distiller.trainable_variables
            with torch.no_grad():
                distiller.optimizer.apply([variable.value.grad for variable in variables], variables)
    return distiller.student.get_weights(), {}


class EvaluatesAlone(keras.callbacks.Callback):
    """Evaluates in the first process, for which no other one waits."""

    def on_epoch_end(self, epoch, logs=None):
        if replicas().is_first:
            self.model.evaluate(*images(), verbose=0)


def check_one_student(part, rank):
    """The students of all processes are one, from the first step on, to the averages that their layers keep."""
    keras.utils.set_random_seed(rank)
    distiller = smskd.KDDistiller(convolutional(3), convolutional(2))
    distiller.compile("sgd", label_loss())
    x, y = images()
    distiller.fit(x[part], y[part], batch_size=8, epochs=2, verbose=0, callbacks=[EvaluatesAlone()])
    digest = hash(tuple(float(array.sum()) for array in weights_of(distiller.student)))
    assert len(set(replicas().numbers(digest))) == 1


def check_errors(part, rank):
    """What would have one process wait for another without end is an error in all."""
    misuses = {
        "`x` must have as many batches": {"part": slice(8 * rank, None), "batch_size": 8},
        "`x` must have as many samples": {"part": slice(rank, 31, 2), "batch_size": 8},
        "CRD needs to know which sample is which": {"part": part, "make": world.contrasts},
        "`backup_dir` must be one directory": {
            "part": part,
            "backup_dir": f"run_of_{rank}" if rank else world.DIRECTORY,
            "resume": "force",
        },
    }
    for message, misuse in misuses.items():
        with pytest.raises(ValueError, match=message):
            world.trained(**misuse)


def main(count, rank, addresses, cases):
    world.CASES["loop"] = loop
    expected = world.one_device(cases) if rank == 0 else None
    distributed.init_process_group("gloo", f"tcp://{addresses[0]}", rank=rank, world_size=count)
    part = world.part_of(rank, count)
    received = world.several_devices(cases, part=part)
    if "resumed" in cases:
        check_one_student(part, rank)
        check_errors(part, rank)
    if rank == 0:
        world.report(expected, received)
    distributed.destroy_process_group()


world.run(main)
