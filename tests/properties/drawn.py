"""What cases are drawn from: methods, labels and weights in all their forms."""

import numpy as np
from hypothesis import strategies

from benchmarks.every_method import METHODS
from tests.properties.cases import SAMPLES

methods = strategies.sampled_from(METHODS)
weights = strategies.lists(strategies.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=SAMPLES, max_size=SAMPLES)

LABELS = {
    "int64": lambda y, classes: y.astype("int64"),
    "int32": lambda y, classes: y.astype("int32"),
    "uint8": lambda y, classes: y.astype("uint8"),
    "float32": lambda y, classes: y.astype("float32"),
    "column": lambda y, classes: y[:, None],
    "one-hot": lambda y, classes: np.eye(classes, dtype="float32")[y],
    "one-hot integers": lambda y, classes: np.eye(classes, dtype="int64")[y],
}


def soft(y, classes):
    return (0.9 * np.eye(classes)[y] + 0.1 / classes).astype("float32")


def weights_of_batch(draw, how, samples, classes):
    """Arguments of `fit` that weight the samples."""
    own = draw(weights)
    as_array = np.array(own[:samples], draw(strategies.sampled_from(["float32", "float64"])))
    as_classes = {label: own[label] for label in range(classes)}
    return {"none": {}, "sample_weight": {"sample_weight": as_array}, "class_weight": {"class_weight": as_classes}}[how]
