"""Losses and optimizers that `compile` cannot take; each of a distiller and of a sequence."""

import keras

from tests.bad_input.world import kd, sequence
from tests.models import label_loss

TAKES_LOGITS = "`loss` must take logits. Received: loss="
ONE_LOSS = "`loss` must be one loss.* Received: loss="


def compiles(loss=None, optimizer="sgd", **arguments):
    """Compiles either kind of distiller, given as `make`."""
    return lambda make=kd: make().compile(optimizer, loss, **arguments)


def of_both(misuses):
    """Each case for a distiller, and for a sequence of them."""
    return {
        f"{name}, of a {kind}": (lambda use=use, make=make: use(make), *expected)
        for name, (use, *expected) in misuses.items()
        for kind, make in (("distiller", kd), ("sequence", sequence))
    }


ONCE = {
    "probabilities by name": (compiles("sparse_categorical_crossentropy"), ValueError, f"{TAKES_LOGITS}'sparse_cat"),
    "probabilities by function": (compiles(keras.losses.categorical_crossentropy), ValueError, TAKES_LOGITS),
    "probabilities by instance": (
        compiles(keras.losses.SparseCategoricalCrossentropy()),
        ValueError,
        f"{TAKES_LOGITS}.*from_logits=True",
    ),
    "probabilities by class": (compiles(keras.losses.SparseCategoricalCrossentropy), ValueError, TAKES_LOGITS),
    "probabilities of the focal loss": (
        compiles(keras.losses.CategoricalFocalCrossentropy()),
        ValueError,
        TAKES_LOGITS,
    ),
    "divergence by name": (compiles("kl_divergence"), ValueError, f"{TAKES_LOGITS}'kl_divergence'"),
    "divergence by instance": (compiles(keras.losses.KLDivergence()), ValueError, TAKES_LOGITS),
    "no loss": (compiles(), ValueError, "`loss` must be given, or `label_weight` be 0.*loss=None"),
    "list of losses": (compiles([label_loss()]), TypeError, rf"{ONE_LOSS}\["),
    "dict of losses": (compiles({"logits": label_loss()}), TypeError, f"{ONE_LOSS}{{"),
    "unknown loss": (compiles("crossentropy"), ValueError, f"{ONE_LOSS}'crossentropy'"),
    "number as loss": (compiles(3), TypeError, f"{ONE_LOSS}3"),
    "metric as loss": (compiles(keras.metrics.MeanSquaredError()), TypeError, ONE_LOSS),
    "weights of losses": (compiles(label_loss(), loss_weights=[1.0]), ValueError, "`label_weight` instead of `loss_we"),
    "unknown optimizer": (compiles(label_loss(), "sdg"), ValueError, "`optimizer` must be .*optimizer='sdg'"),
    "no optimizer": (compiles(label_loss(), None), TypeError, "`optimizer` must be .*optimizer=None"),
    "learning rate as optimizer": (compiles(label_loss(), 0.1), TypeError, "`optimizer` must be .*optimizer=0.1"),
    "number of replicas to gather": (compiles(label_loss(), gather=2), TypeError, "`gather` must be True.*gather=2"),
    "list of optimizers": (compiles(label_loss(), ["sgd", "sgd"]), TypeError, "`optimizer` must be .*stage"),
}

MISUSES = of_both(ONCE)
