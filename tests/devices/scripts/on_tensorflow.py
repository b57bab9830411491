"""A process that trains on virtual processors, by `MirroredStrategy`."""

import tensorflow as tf

from tests.devices import world


def main(count, cases, **alone):
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * count)
    expected = world.one_device(cases)
    with tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(count)]).scope():
        world.report(expected, world.several_devices(cases))


world.run(main)
