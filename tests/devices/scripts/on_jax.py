"""A process that trains on virtual processors, by `DataParallel` or `ModelParallel`, alone or with others."""

import keras
import pytest

from tests.devices import world


def model_parallel(devices):
    """Halves of the first weights on two devices; the others have the other half of the batch."""
    mesh = keras.distribution.DeviceMesh((len(devices) // 2, 2), ("batch", "model"), devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*hidden/kernel"] = keras.distribution.TensorLayout((None, "model"), mesh)
    return keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")


class Batches(keras.utils.PyDataset):
    """So many of four samples."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    @property
    def num_batches(self):
        return self.count

    def __getitem__(self, index):
        return world.X[:4], world.Y[:4]


def data_parallel(devices):
    return keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)


def main(kind, count, rank, addresses, cases):
    part = world.part_of(rank, len(addresses))
    if len(addresses) > 1:
        keras.distribution.initialize(",".join(addresses), len(addresses), rank)
    expected = world.one_device(cases)
    distribution = {"data": data_parallel, "model": model_parallel}[kind](keras.distribution.list_devices()[:count])
    with distribution.scope():
        if kind == "model":
            kernel = world.models()[1].get_layer("hidden").kernel.value
            assert {shard.data.shape for shard in kernel.addressable_shards} == {(6, 3)}
        received = world.several_devices(cases, part=part)
        if len(addresses) > 1:
            with pytest.raises(ValueError, match="CRD needs to know which sample is which"):
                world.trained(world.contrasts, part)
            with pytest.raises(ValueError, match="`validation_data` must have as many samples in every process"):
                world.trained(part=part, validation=world.uneven)
            with pytest.raises(ValueError, match="`validation_data` must have as many batches in every process"):
                world.trained(part=part, validation_data=Batches(1 + rank))
    if rank == 0:
        world.report(expected, received)


world.run(main)
