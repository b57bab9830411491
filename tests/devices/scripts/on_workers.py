"""A worker of `MultiWorkerMirroredStrategy`, in the loop of docs/several_devices.md."""

import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_smskd as smskd
from tests.devices import world
from tests.models import label_loss

EPOCHS = 2
MAKE = {"stages": world.stages, "gathered": world.both}


def train(strategy, sequence, batches):
    """Trains all stages; gives the last logs of each."""
    batches = strategy.experimental_distribute_dataset(batches)
    for index in range(len(sequence.stages)):
        with strategy.scope():
            distiller = sequence.begin_stage(index)
            distiller.optimizer.build(distiller.trainable_variables)
        step = training_step(strategy, distiller)
        for epoch in range(EPOCHS):
            distiller.begin_epoch(epoch)
            distiller.reset_metrics()
            for batch in batches:
                step(batch)
        yield {name: float(value) for name, value in distiller.get_metrics_result().items()}


def training_step(strategy, distiller):
    @tf.function
    def step(batch):
        strategy.run(distiller.train_step, args=(batch,))

    return step


def made(case):
    sequence = smskd.SequentialDistiller(MAKE[case](*world.models()))
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    sequence.compile(optimizer, label_loss(), metrics=["accuracy"], gather=case == "gathered")
    return sequence


def trained(strategy, case):
    with strategy.scope():
        sequence = made(case)
    batches = tf.data.Dataset.from_tensor_slices((world.X, world.Y, world.WEIGHTS.astype("float32"))).batch(8)
    logs = list(train(strategy, sequence, batches))
    with pytest.raises(NotImplementedError, match="docs/several_devices.md"):
        sequence.fit(world.X, world.Y, verbose=0)
    names = dict.fromkeys(name for of_stage in logs for name in of_stage)
    return sequence.student.get_weights(), {name: [each[name] for each in logs if name in each] for name in names}


def on_one_device(case):
    """The weights, and of each stage the last logs."""
    weights, history = world.trained(MAKE[case])
    last = {name: values[EPOCHS - 1 :: EPOCHS] for name, values in history.items()}
    return weights, {name: [value for value in values if not np.isnan(value)] for name, values in last.items()}


def main(rank, addresses, cases):
    task = {"type": "worker", "index": rank}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    received = {case: trained(strategy, case) for case in cases}
    if rank == 0:
        world.report({case: on_one_device(case) for case in cases}, received)


world.run(main)
