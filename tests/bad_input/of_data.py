"""Arrays that cannot be trained on; each given to a distiller, to a sequence and as a single batch."""

import keras
import numpy as np

from tests.bad_input.world import X, Y

SOFT = np.eye(4)[Y]
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
DENSE = keras.losses.CategoricalCrossentropy(from_logits=True)


def changed(array, value):
    array = np.array(array, "float32")
    array[3] = value
    return array


LABELS = {
    "class id too large": (
        (X, changed(Y, 4), SPARSE),
        ValueError,
        "`y` must hold class ids, .* 0 to 3.*Received: 1 labels",
    ),
    "class ids from 1 on": (
        (X, np.full(8, 4), SPARSE),
        ValueError,
        "class ids, which count from 0 to 3.*Received: 8 labels",
    ),
    "negative class id": ((X, changed(Y, -1), SPARSE), ValueError, "`y` must hold class ids.*Received: 1 labels"),
    "fractions as class ids": ((X, Y + 0.5, SPARSE), ValueError, "`y` must hold class ids.*Received: 8 labels"),
    "NaN among class ids": ((X, changed(Y, np.nan), SPARSE), ValueError, "`y` must hold class ids.*Received: 1 labels"),
    "labels of rank 3": (
        (X, np.zeros((8, 2, 2)), SPARSE),
        ValueError,
        r"`y` must hold.*Received: y of shape \((8|None), 2, 2\)",
    ),
    "one-hot of other classes": (
        (X, np.eye(5)[Y], DENSE),
        ValueError,
        r"`y` must hold.*probabilities of shape \(batch, 4\)",
    ),
    "soft labels above 1": ((X, 2.0 * SOFT, DENSE), ValueError, "`y` must hold.*probabilities that sum to 1"),
    "soft labels that sum to 0": (
        (X, changed(SOFT, 0.0), DENSE),
        ValueError,
        "`y` must hold.*sum to 1.*Received: 1 labels",
    ),
    "negative probabilities": (
        (X, changed(SOFT, [-1, 1, 1, 0]), DENSE),
        ValueError,
        "`y` must hold.*Received: 1 labels",
    ),
    "NaN probabilities": ((X, changed(SOFT, np.nan), DENSE), ValueError, "`y` must hold.*Received: 1 labels"),
    "logits as labels": ((X, SOFT - 0.5, DENSE), ValueError, "`y` must hold.*probabilities that sum to 1"),
}

LABELS_OF_OTHER_LOSSES = {
    "one-hot labels for a sparse loss": (
        (X, SOFT, SPARSE),
        ValueError,
        "`loss` must fit `y`.*`keras.losses.CategoricalCrossentropy",
    ),
    "class ids for a dense loss": (
        (X, Y, DENSE),
        ValueError,
        "`loss` must fit `y`.*`keras.losses.SparseCategoricalCrossentropy",
    ),
    "class ids for a squared error": (
        (X, Y, "mse"),
        ValueError,
        "`loss` must fit `y`.*`keras.losses.SparseCategoricalCrossentropy",
    ),
}

INPUTS = {
    "text as labels": (
        (X, np.array(list("abcdabcd")), SPARSE),
        ValueError,
        "`y` must hold numbers.*Received: y of dtype <U1",
    ),
    "NaN in inputs": ((changed(X, np.nan), Y, SPARSE), ValueError, "`x` must hold finite numbers"),
    "infinite inputs": ((changed(X, np.inf), Y, SPARSE), ValueError, "`x` must hold finite numbers"),
    "opposite infinities": (
        (changed(X, [np.inf, -np.inf, 0, 0, 0, 0]), Y, SPARSE),
        ValueError,
        "`x` must hold finite numbers",
    ),
    "inputs of another size": ((X[:, :5], Y, SPARSE), ValueError, r"`x` must .*\(None, 6\).*\(None, 5\)"),
    "inputs of another rank": ((X[:, None, None], Y, SPARSE), ValueError, r"`x` must .*\(None, 6\).*\(None, 1, 1, 6\)"),
    "inputs as a list of two": (([X, X], Y, SPARSE), ValueError, r"`x` must .*x of shape \(None, 6\), \(None, 6\)"),
    "text as inputs": (
        (np.full((8, 6), "a"), Y, SPARSE),
        ValueError,
        "`x` must hold numbers.*Received: x of dtype <U1",
    ),
    "one label too few": ((X, Y[:-1], SPARSE), ValueError, "`x`, `y` must have as many samples.*8.*7"),
    "one sample too few": ((X[:-1], Y, SPARSE), ValueError, "`x`, `y` must have as many samples.*7.*8"),
    "no samples": ((X[:0], Y[:0], SPARSE), ValueError, "`x`, `y` must hold one sample or more"),
    "no labels": ((X, None, SPARSE), ValueError, "`y` must be given"),
    "lists of numbers": ((X.tolist(), Y, SPARSE), TypeError, "`x` must be an array"),
    "labels as a list": ((X, Y.tolist(), SPARSE), TypeError, "`y` must be an array"),
}

MISUSES = {**LABELS, **LABELS_OF_OTHER_LOSSES, **INPUTS}
