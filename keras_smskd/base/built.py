"""What a first training step would make is made before it: TensorFlow traces a step that makes variables twice."""

from typing import Any

import keras
from keras import ops

from keras_smskd.arrays import in_numpy


class BuiltBefore(keras.callbacks.Callback):
    """Builds a distiller's optimizer and its metrics, of a source of unknown labels the optimizer alone.

    Args:
        distiller: The distiller that is trained.
        x: Its training data.
        y: Their labels, or None if `x` has them.
    """

    def __init__(self, distiller: Any, x: Any, y: Any) -> None:
        super().__init__()
        self.distiller = distiller
        self.data = x, y

    def on_train_begin(self, logs: Any = None) -> None:
        self.distiller.build_optimizer()
        if all(getattr(metric, "built", True) for metric in self.distiller.metrics):
            return
        label = _label_of(*self.data)
        if label is not None:
            self.distiller.compute_metrics(None, label, ops.zeros((1, self.distiller.classes)))
            self.distiller.reset_metrics()


def _label_of(x: Any, y: Any) -> Any:
    """The label of one sample: the first of arrays, zeros for a `tf.data.Dataset`, None where it is not known."""
    if y is not None:
        return ops.convert_to_tensor(in_numpy(y[:1])) if hasattr(y, "shape") else None
    batch = getattr(x, "element_spec", None)
    label = batch[1] if isinstance(batch, tuple) and len(batch) > 1 else None
    shape = getattr(label, "shape", None)  # Of a structure of labels there is none.
    if label is None or shape is None or shape.rank is None or None in shape[1:]:
        return None
    return ops.zeros((1, *shape[1:]), label.dtype.name)
