"""Bad data ends the training with an error, whatever source it comes from."""

from typing import Any

import keras
from keras import ops

from keras_smskd import checks, label_checks, model_checks
from keras_smskd.base.weight import scalar
from keras_smskd.base.weighted_terms import SKIPPED
from keras_smskd.losses import check_compile

Tensor = Any


class DataCheck(keras.callbacks.Callback):
    """Counts bad labels and usable batches in the compiled step, and raises at the end of an epoch that had them.

    An epoch without any batch raises too, and one whose batches were all left out.

    Arrays are checked whole before the first step (`array`); only a source that must be iterated waits for this.

    Args:
        distiller: The distiller to check for; the counters become variables of it.
    """

    async_safe = True  # It counts batches, and Keras need not wait for it.

    def __init__(self, distiller: Any) -> None:
        super().__init__()
        self.distiller = distiller
        self.batches = 0
        self.invalid_labels = scalar(distiller, "invalid_labels", aggregation="sum")
        self.usable_batches = scalar(distiller, "usable_batches", aggregation="sum")

    def array(self, y: Any, batch_size: int | None) -> None:
        """Checks labels given as an array, to be taken `batch_size` at a time; any other source passes."""
        if not hasattr(y, "shape"):
            return
        label_checks.check_array(y, self.distiller.classes)
        self._check_batch_size(min(y.shape[0], batch_size or y.shape[0]) * self.distiller.parts)

    def step(self, y: Tensor, batch_size: Tensor) -> None:
        """Counts one batch, inside the compiled step."""
        if y is not None:
            label_checks.check_shape(y, self.distiller.classes)
            self.invalid_labels.assign_add(label_checks.count_invalid(y, self.distiller.classes))
        usable = batch_size * self.distiller.parts >= self.distiller.smallest_batch
        self.usable_batches.assign_add(ops.cast(usable, "float32"))

    def on_train_begin(self, logs: Any = None) -> None:
        model_checks.check_trains(self.distiller)
        check_compile(self.distiller._label_loss, None, float(self.distiller.label_weight.numpy()))
        self.invalid_labels.assign(0.0)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches = 0
        self.usable_batches.assign(0.0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.batches:
            raise ValueError(
                f"`x` gave no batch in epoch {epoch + 1}. A generator is read once: it must yield "
                "`steps_per_epoch * epochs` batches, or give a dataset that begins anew."
            )
        label_checks.check_values(float(self.invalid_labels.numpy()), self.distiller.classes)
        if float(self.usable_batches.numpy()) == 0.0:
            if (logs or {}).get(SKIPPED):
                raise FloatingPointError(
                    f"Every batch of epoch {epoch + 1} was left out, for its loss was not finite: lower the learning "
                    "rate or the weight of the term, or mend `x` or the layer."
                )
            self._check_batch_size(self.distiller.smallest_batch - 1)

    def _check_batch_size(self, batch_size: int) -> None:
        of_method = self.distiller.smallest_batch, self.distiller.largest_batch, self.distiller.method
        checks.check_batch_size(batch_size, *of_method)
