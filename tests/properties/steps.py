"""Properties of a training step: weights, order and forms of the samples, a joint of one."""

import numpy as np
from hypothesis import strategies

import keras_smskd as smskd
from tests.properties.cases import Batch, assert_same_step, combined, drawn, step
from tests.properties.drawn import LABELS, methods, weights

# Why the distillation loss of a sample is another one where another sample is left out.
NEIGHBOURS = "it compares the samples of a batch"
NORMALISED = "its projector normalises over the batch"
DRAWN = "what it draws depends on the size and the order of the batch"
COUPLED = {
    **dict.fromkeys(("CC", "CRD", "DIST", "DISTPlus", "MLKD", "PKT", "RKD", "SKD", "SP", "SRD", "SSKD"), NEIGHBOURS),
    **dict.fromkeys(("FT", "FitNet", "OFD", "PAD", "ReviewKD", "SRRL", "SimKD", "SemCKD"), NORMALISED),
    "MGD": DRAWN,
    "ICKD": "it divides by the size of the batch",
}

# Why the distillation loss of a batch is another one in another order.
ORDERED = {
    "CC": "it compares each sample with the next",
    "CRD": DRAWN,
    "MGD": DRAWN,
    "SSKD": "of samples that are equally wrong it keeps the first",
    "SemCKD": "its queries take the similarities to a sample by its place in the batch",
}


def weights_are_linear(draw):
    """Step with weights = step with one sample's weight 0 + step with its weight alone, whatever the method.

    So a sample of weight 0 has no share of its own in any term. Others may still be compared with it.
    """
    with drawn(draw, [draw(methods)], spare=1) as ([distiller], batch, _):
        own = 0.5 + np.array(draw(weights)[: len(batch.x)])
        alone = own * (np.arange(len(own)) == draw(strategies.integers(0, len(own) - 1)))
        whole, without, only = (step(distiller, batch, sample_weight=part) for part in (own, own - alone, alone))
        assert_same_step(whole, combined((1, without), (1, only)))


def weight_0_leaves_a_sample_out(draw):
    """A sample of weight 0 is left out, but for the number of samples by which a mean divides.

    Label and reference loss of every method; the distillation loss where it is one of each sample by itself.
    """
    method = draw(methods.filter(lambda name: name != "SimKD"))  # Its student normalises over the batch.
    with drawn(draw, [method], spare=1) as ([distiller], batch, _):
        if method in COUPLED:
            distiller.distillation_weight = 0.0
        received, expected = left_out(distiller, batch, draw(strategies.integers(0, len(batch.x) - 1)))
        assert_same_step(received, expected, but="distillation_loss" if method in COUPLED else None)


def left_out(distiller, batch, sample):
    """The step where a sample has weight 0, and what it must be by the step without the sample."""
    rest = np.arange(len(batch.x)) != sample
    received = step(distiller, batch, sample_weight=rest.astype("float32"))
    return received, combined(((len(rest) - 1) / len(rest), step(distiller, batch.taken(rest))))


def order_of_samples(draw):
    """A batch in another order gives the same step, with its weights in that order."""
    method = draw(methods)
    with drawn(draw, [method]) as ([distiller], batch, _):
        if method in ORDERED:
            distiller.distillation_weight = 0.0
        order = np.array(draw(strategies.permutations(range(len(batch.x)))))
        own = np.array(draw(weights)[: len(batch.x)])
        received, expected = reordered(distiller, batch, order, own)
        assert_same_step(received, expected, but="distillation_loss" if method in ORDERED else None)


def reordered(distiller, batch, order, own):
    """The steps of a batch in another order and in its own."""
    received = step(distiller, batch.taken(order), sample_weight=own[order])
    return received, step(distiller, batch, sample_weight=own)


def forms_of_one_batch(draw):
    """Labels, images and weights in any form that says the same give the same step."""
    with drawn(draw, [draw(methods)]) as ([distiller], batch, shape):
        own = np.array(draw(weights)[: shape.classes], "float32")
        expected = step(distiller, batch, sample_weight=own[batch.y])
        labels = LABELS[draw(strategies.sampled_from(sorted(LABELS)))](batch.y, shape.classes)
        other = Batch(batch.x.astype("float64"), labels, batch.index)
        of_classes = {"class_weight": dict(enumerate(own.tolist()))}
        of_samples = {"sample_weight": own[batch.y].astype("float64")}
        assert_same_step(step(distiller, other, **draw(strategies.sampled_from([of_classes, of_samples]))), expected)


def a_joint_of_one_is_that_one(draw):
    """`JointDistiller` of one distiller makes the step of that one."""
    with drawn(draw, [draw(methods)], reference=False) as ([distiller], batch, _):
        own = {"sample_weight": np.array(draw(weights)[: len(batch.x)])}
        label_weight, weight = (float(of.numpy()) for of in (distiller.label_weight, distiller.distillation_weight))
        joint = smskd.JointDistiller([distiller], label_weight=label_weight)
        terms, moves = step(distiller, batch, **own)
        weighted = {**terms, "distillation_loss": weight * terms["distillation_loss"]}
        assert_same_step(step(joint, batch, **own), (weighted, moves))
