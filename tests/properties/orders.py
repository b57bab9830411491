"""Properties of arguments whose order means nothing: the joined distillers, the teachers, the layers."""

import functools

import numpy as np
from hypothesis import strategies

import keras_smskd as smskd
from benchmarks.every_method import LAYERS, METHODS, ON_MAPS, ON_TOKENS, ON_VECTORS, make
from tests.properties.cases import EXACT, SAMPLES, assert_same_step, drawn, models, move, step
from tests.properties.drawn import methods

# Methods that sum over the layers, each by itself, or take several teachers. CRD and MGD draw for one after another.
SUM_OF_LAYERS = [
    name for name in (*ON_MAPS, *ON_TOKENS, *ON_VECTORS) if name not in ("CRD", "MGD", "PKD", "SRRL", "SSKD")
]
SEVERAL_TEACHERS = [name for name in METHODS if name not in ("CRD", "MGD", "OFD", "SRRL", "SimKD")]


def order_of_joint_distillers(draw):
    """The order of the distillers of a joint means nothing."""
    pair = draw(strategies.lists(methods, min_size=2, max_size=2, unique=True))
    with drawn(draw, pair, reference=False) as (distillers, batch, _):
        steps = [step(smskd.JointDistiller(each), batch) for each in (distillers, distillers[::-1])]
        assert_same_step(*steps)


def order_of_teachers(draw):
    """The order of several teachers means nothing."""
    method = draw(strategies.sampled_from(SEVERAL_TEACHERS))
    weighting = draw(strategies.sampled_from(["uniform", "tcp"]))
    in_any_order(draw, method, teachers_in_both_orders, weighting)


def order_of_layers(draw):
    """The order of `layers` means nothing to a method that sums over them."""
    in_any_order(draw, draw(strategies.sampled_from(SUM_OF_LAYERS)), layers_in_both_orders)


def in_any_order(draw, method, in_both_orders, *arguments):
    """The same step of a student by both distillers that `in_both_orders` makes of a method."""
    with drawn(draw, [method], reference=False) as (_, batch, shape):
        both = in_both_orders(method, shape, *arguments)
        student = [id(variable) for variable in both[0].student.trainable_variables]
        steps = [step(distiller, batch) for distiller in both]
        assert_same_step(*[(terms, {name: moves[name] for name in student}) for terms, moves in steps])


@functools.cache
def teachers_in_both_orders(method, shape, weighting):
    teachers, student = models(shape, EXACT, False)
    move(teachers[1], 1)
    return same_made(method, student, "teachers", [teachers, teachers[::-1]], teacher_weighting=weighting)


@functools.cache
def layers_in_both_orders(method, shape):
    teachers, student = models(shape, EXACT, False)
    other = {"stage3": "stage2", "tokens": "stage2", "pool": "stage3"}[LAYERS[method][0]]
    names = [LAYERS[method][0], other]
    orders = [{name: name for name in order} for order in (names, names[::-1])]
    return same_made(method, student, "layers", orders, teachers=teachers[:1])


def same_made(method, student, argument, values, **arguments):
    """Distillers that differ in one argument, with projectors of the same weights, made of their shapes alone."""
    made = [make(method, None, student, SAMPLES, SAMPLES, **{argument: value}, **arguments) for value in values]
    of_models = {id(variable) for model in (student, *made[0].teachers) for variable in model.variables}
    for distiller in made:
        for variable in distiller.weights:
            if id(variable) not in of_models and len(variable.shape) > 1:
                generator = np.random.default_rng(list(variable.shape))
                variable.assign(0.3 * generator.normal(size=variable.shape))
    return made
