"""What a first step would make is made before it: TensorFlow, which makes it in the step, would trace this twice."""

from typing import Any

import keras
import numpy as np

Tensor = Any


class BuiltBefore(keras.callbacks.Callback):
    """Builds a distiller's optimizer, and its metrics where the form of the labels is known.

    Args:
        distiller: The distiller that is trained.
        x: Its training data.
        y: Their labels, or None if `x` has them.
    """

    def __init__(self, distiller: Any, x: Any, y: Any) -> None:
        super().__init__()
        self.distiller = distiller
        self.labels = of_source(x) if y is None else of_array(y)

    def on_train_begin(self, logs: Any = None) -> None:
        self.distiller.build_optimizer()
        if not self.distiller.run_eagerly:
            build_metrics(self.distiller, self.labels)


class Metrics(keras.Operation):
    """The compiled metrics of a distiller; of an operation Keras tells what it outputs without computing it."""

    def __init__(self, distiller: Any) -> None:
        super().__init__()
        self.distiller = distiller

    def call(self, y: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """The metrics of a batch."""
        return self.distiller.compute_metrics(None, y, logits)


def build_metrics(distiller: Any, labels: keras.KerasTensor | None) -> None:
    """Makes the variables of the compiled metrics, if they are not there and the form of the labels is known."""
    if labels is not None and not all(getattr(metric, "built", True) for metric in distiller.metrics):
        Metrics(distiller).compute_output_spec(labels, keras.KerasTensor((None, distiller.classes)))


def of_array(y: Any) -> keras.KerasTensor | None:
    """The form of labels in an array, whose floating-point numbers Keras casts; None for what is no array."""
    if not (isinstance(y, np.ndarray) or keras.ops.is_tensor(y)):
        return None
    dtype = keras.utils.standardize_dtype(y.dtype)
    return keras.KerasTensor((None, *y.shape[1:]), None if "float" in dtype else dtype)


def of_source(x: Any) -> keras.KerasTensor | None:
    """The form of the labels of a `tf.data.Dataset`; None where it is not told."""
    batch = getattr(x, "element_spec", None)
    labels = batch[1] if isinstance(batch, tuple) and len(batch) > 1 else None
    shape = getattr(labels, "shape", None)  # Of a structure of labels there is none.
    if labels is None or shape is None or shape.rank is None:
        return None
    return keras.KerasTensor((None, *shape[1:]), labels.dtype.name)
