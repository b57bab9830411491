"""Trains once on one device and once on two virtual ones; the students must come out equal (TensorFlow)."""

import keras
import numpy as np
import tensorflow as tf

import keras_smskd as smskd

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def model(width):
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(width, activation="tanh", name="hidden", kernel_regularizer="l2"),
            keras.layers.Dense(width, name="second"),
            keras.layers.Dense(4),
        ]
    )


def train(strategy):
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(32, 6)).astype("float32"), generator.integers(0, 4, 32)
    with strategy.scope():
        teacher, student = model(8), model(3)
        stages = [
            smskd.KDDistiller(teacher, student),
            smskd.JointDistiller(
                [
                    smskd.DKDDistiller(teacher, student),
                    smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}),
                ],
                weights=[1.0, 2.0],
            ),
        ]
        distiller = smskd.SequentialDistiller(stages)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile(keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
    history = distiller.fit(x, y, sample_weight=generator.uniform(0, 2, 32), shuffle=False, epochs=3, verbose=0)
    return student.get_weights(), history.history


one, history_of_one = train(tf.distribute.get_strategy())
two, history_of_two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
difference = max(np.abs(a - b).max() for a, b in zip(one, two, strict=True))
for term in ("label_loss", "distillation_loss", "reference_loss", "reference_agreement", "loss"):
    np.testing.assert_allclose(history_of_one[term], history_of_two[term], rtol=1e-4, err_msg=term)
print("weights differ by at most", difference)
if difference > 1e-5:
    raise SystemExit("two replicas train differently")
