"""Numbers and names of methods that are out of range."""

import numpy as np

import keras_smskd as smskd
from tests.bad_input.world import STUDENT, TEACHER, kd, of_maps, relational

ABOVE_0 = "`temperature` must be a finite number above 0. Received: temperature="
AT_LEAST_0 = "`{}` must be a finite number of at least 0. Received: {}="


def dkd(**arguments):
    return smskd.DKDDistiller(TEACHER, STUDENT, **arguments)


def mlkd(**arguments):
    return smskd.MLKDDistiller(TEACHER, STUDENT, **arguments)


def crd(samples=8, **arguments):
    return smskd.CRDDistiller(TEACHER, STUDENT, layers={"hidden": "hidden"}, samples=samples, **arguments)


def correlation(**arguments):
    return smskd.CCDistiller(TEACHER, STUDENT, layers={"hidden": "hidden"}, **arguments)


def at_least_0(name):
    return AT_LEAST_0.format(name, name)


MISUSES = {
    "temperature 0": (lambda: kd(temperature=0), ValueError, f"{ABOVE_0}0"),
    "negative temperature": (lambda: kd(temperature=-4.0), ValueError, f"{ABOVE_0}-4"),
    "temperature NaN": (lambda: kd(temperature=np.nan), ValueError, f"{ABOVE_0}nan"),
    "infinite temperature": (lambda: kd(temperature=np.inf), ValueError, f"{ABOVE_0}inf"),
    "temperature True": (lambda: kd(temperature=True), ValueError, f"{ABOVE_0}True"),
    "temperature as text": (lambda: kd(temperature="4"), ValueError, f"{ABOVE_0}'4'"),
    "no temperature": (lambda: kd(temperature=None), ValueError, f"{ABOVE_0}None"),
    "list of temperatures": (lambda: kd(temperature=[4.0]), ValueError, rf"{ABOVE_0}\[4.0\]"),
    "one number of many": (lambda: mlkd(temperatures=4.0), TypeError, "`temperatures` must be a list.*temperatures=4"),
    "none of many": (lambda: mlkd(temperatures=[]), ValueError, "`temperatures` must hold one or more"),
    "0 among many": (lambda: mlkd(temperatures=[4.0, 0.0]), ValueError, "`temperatures` must be a finite number above"),
    "negative label weight": (lambda: kd(label_weight=-1), ValueError, f"{at_least_0('label_weight')}-1"),
    "label weight as text": (lambda: kd(label_weight="1"), ValueError, f"{at_least_0('label_weight')}'1'"),
    "label weight True": (lambda: kd(label_weight=True), ValueError, f"{at_least_0('label_weight')}True"),
    "weight NaN": (lambda: kd(distillation_weight=np.nan), ValueError, f"{at_least_0('distillation_weight')}nan"),
    "infinite weight": (lambda: kd(distillation_weight=np.inf), ValueError, f"{at_least_0('distillation_weight')}inf"),
    "list as weight": (lambda: kd(distillation_weight=[1.0]), ValueError, at_least_0("distillation_weight")),
    "negative warm-up": (lambda: kd(warmup_epochs=-1), ValueError, f"{at_least_0('warmup_epochs')}-1"),
    "warm-up as text": (lambda: kd(warmup_epochs="ten"), ValueError, f"{at_least_0('warmup_epochs')}'ten'"),
    "negative alpha": (lambda: dkd(alpha=-1), ValueError, f"{at_least_0('alpha')}-1"),
    "negative beta": (lambda: dkd(beta=-1), ValueError, f"{at_least_0('beta')}-1"),
    "negative distance": (lambda: relational(distance_weight=-1), ValueError, f"{at_least_0('distance_weight')}-1"),
    "negative power": (lambda: of_maps(smskd.ATDistiller, power=-2), ValueError, "`power` must be a whole number"),
    "power 1.5": (lambda: of_maps(smskd.ATDistiller, power=1.5), ValueError, "`power` .* Received: power=1.5"),
    "power True": (lambda: of_maps(smskd.ATDistiller, power=True), ValueError, "`power` .* Received: power=True"),
    "order 3": (lambda: relational_order(3), ValueError, "`order` must be 1 or 2. Received: order=3"),
    "order True": (lambda: relational_order(True), ValueError, "`order` must be 1 or 2. Received: order=True"),
    "no negatives": (lambda: crd(negatives=0), ValueError, "`negatives` must be a whole number of at least 1.*=0"),
    "one sample": (lambda: crd(samples=1), ValueError, "`samples` must be a whole number of at least 2.*=1"),
    "momentum above 1": (lambda: crd(momentum=1.5), ValueError, "`momentum` must be a number from 0 to 1.*=1.5"),
    "unknown kernel": (lambda: correlation(kernel="cosine"), ValueError, "`kernel` must be one of .*kernel='cosine'"),
    "kernel is a list": (lambda: correlation(kernel=["rbf"]), ValueError, "`kernel` must be one of"),
    "norm below 1": (lambda: of_maps(smskd.FTDistiller, norm=0.5), ValueError, "`norm` must be at least 1.*norm=0.5"),
    "rate above 1": (lambda: of_maps(smskd.FTDistiller, rate=2.0), ValueError, "`rate` must be a number from 0 to 1"),
    "variance below the smallest": (
        lambda: of_maps(smskd.VIDDistiller, initial_variance=1e-9),
        ValueError,
        "`initial_variance` must be above `smallest_variance`",
    ),
    "too many vectors": (
        lambda: of_maps(smskd.KDSVDDistiller, {"stage1": "stage1", "stage2": "stage2"}, vectors=99),
        ValueError,
        "`vectors` must be a whole number from 1 to",
    ),
    "one size of many": (
        lambda: of_maps(smskd.ReviewKDDistiller, pool_sizes=4),
        TypeError,
        "`pool_sizes` must be a list.*pool_sizes=4",
    ),
    "size 0 among many": (
        lambda: of_maps(smskd.ReviewKDDistiller, pool_sizes=(4, 0)),
        ValueError,
        "`pool_sizes` must be a whole number",
    ),
    "margins of other channels": (
        lambda: of_maps(smskd.OFDDistiller, margins={"stage2": [0.0]}),
        ValueError,
        "`margins` must hold 12 numbers for 'stage2'",
    ),
}


def relational_order(order):
    return smskd.SPDistiller(TEACHER, STUDENT, layers={"hidden": "hidden"}, order=order)
