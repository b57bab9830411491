"""A worker of `MultiWorkerMirroredStrategy`, in the loop of docs/several_devices.md."""

import json
import os

import keras
import pytest
import tensorflow as tf

from tests.devices import world
from tests.models import label_loss

EPOCHS = 2


def loop(strategy, distiller, batches):
    @tf.function
    def step(batch):
        strategy.run(distiller.train_step, args=(batch,))

    with strategy.scope():
        distiller.optimizer.build(distiller.trainable_variables)
    batches = strategy.experimental_distribute_dataset(batches)
    for epoch in range(EPOCHS):
        distiller.begin_epoch(epoch)
        distiller.reset_metrics()
        for batch in batches:
            step(batch)
    return distiller.get_metrics_result()


def compiled():
    distiller = world.relations(*world.models())[0]
    distiller.compile(keras.optimizers.SGD(0.01, momentum=0.9), label_loss(), metrics=["accuracy"], gather=True)
    return distiller


def main(rank, addresses, **more):
    task = {"type": "worker", "index": rank}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        distiller = compiled()
    batches = tf.data.Dataset.from_tensor_slices((world.X, world.Y, world.WEIGHTS.astype("float32"))).batch(8)
    logs = {name: [float(value)] for name, value in loop(strategy, distiller, batches).items()}
    with pytest.raises(NotImplementedError, match="docs/several_devices.md"):
        distiller.fit(world.X, world.Y, verbose=0)
    if rank == 0:
        weights, history = world.trained(world.relations)
        last = {name: history[name][-1:] for name in logs}
        world.report({"loop": (weights, last)}, {"loop": (distiller.student.get_weights(), logs)})


world.run(main)
