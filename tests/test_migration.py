"""What docs/migration.md says of `keras.distillation`, held against it, and its weights for mdistiller."""

import pathlib
import re

import keras
import numpy as np
import pytest
from keras import layers

import keras_smskd as smskd
from tests.models import label_loss, weights_of

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "migration.md"
IS_OF_PAGE = keras.__version__.startswith("3.15.")  # What the page says of later ones is not known.


def model(width=8, **arguments):
    hidden = layers.Dense(width, name="hidden", **arguments)
    return keras.Sequential([keras.Input((6,)), hidden, layers.BatchNormalization(name="norm"), layers.Dense(4)])


def data():
    generator = np.random.default_rng(0)
    return generator.normal(size=(16, 6)).astype("float32"), generator.integers(0, 4, 16)


def divergence(**arguments):
    return keras.distillation.LogitsDistillation(temperature=4.0, loss=keras.losses.KLDivergence(), **arguments)


def feature(**arguments):
    return keras.distillation.FeatureDistillation(loss="mse", **arguments)


def theirs(teacher, student, *losses, rate=0.0, **arguments):
    distiller = keras.distillation.Distiller(teacher, student, list(losses), student_loss_weight=0.3, **arguments)
    distiller.compile(keras.optimizers.SGD(rate), label_loss())
    return distiller


def logs_of(distiller, **arguments):
    x, y = data()
    return distiller.train_on_batch(x, y, return_dict=True, **arguments)


needs_distillation = pytest.mark.skipif(not hasattr(keras, "distillation"), reason="there is no `keras.distillation`")
of_the_page = pytest.mark.skipif(not IS_OF_PAGE, reason="the page is about Keras 3.15")


@needs_distillation
def test_both_compute_the_same_loss():
    teacher, student = model(), model()
    losses = divergence(), feature(teacher_layer_name="hidden", student_layer_name="hidden")
    expected = logs_of(theirs(teacher, student, *losses, distillation_loss_weights=[1.0, 0.5]))
    methods = [
        smskd.KDDistiller(teacher, student, temperature=4.0),
        smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}, projector=None),
    ]
    ours = smskd.JointDistiller(methods, weights=[1.0, 0.5], label_weight=0.3, distillation_weight=0.7)
    ours.compile(keras.optimizers.SGD(0.0), label_loss())
    received = logs_of(ours)
    names = {"student_loss": "label_loss", "distillation_loss": "distillation_loss", "total_loss": "loss"}
    for name, own in names.items():
        assert received[own] > 0
        np.testing.assert_allclose(received[own], expected[name], rtol=1e-4, err_msg=name)


@of_the_page
def test_the_default_there_is_another_loss():
    teacher, student = model(), model()
    default = theirs(teacher, student, keras.distillation.LogitsDistillation(temperature=4.0))
    instance = theirs(teacher, student, divergence())
    losses = [float(logs_of(distiller)["distillation_loss"]) for distiller in (default, instance)]
    assert abs(losses[0] / losses[1] - 1) > 0.05


@of_the_page
def test_what_has_no_effect_there():
    distiller = theirs(model(), model(kernel_regularizer=keras.regularizers.L2(100.0)), divergence())
    whole = logs_of(distiller)["total_loss"]
    assert whole < 100  # Without the regularisation.
    assert logs_of(distiller, sample_weight=np.zeros(16))["total_loss"] == pytest.approx(whole, rel=1e-5)
    distiller.student_loss_weight = 0.0
    if keras.backend.backend() != "torch":  # Which compiles nothing.
        assert logs_of(distiller)["total_loss"] == pytest.approx(whole, rel=1e-5)
    lone = theirs(model(), model(), feature(student_layer_name="hidden"))
    assert logs_of(lone)["distillation_loss"] > 0


@of_the_page
def test_evaluate_moves_statistics_there():
    student = model()
    distiller = theirs(model(), student, feature(teacher_layer_name="hidden", student_layer_name="hidden"))
    before = weights_of(student)
    logs = distiller.evaluate(*data(), return_dict=True, verbose=0)
    assert "distillation_loss" in logs
    assert any((old != new).any() for old, new in zip(before, weights_of(student), strict=True))


@of_the_page
def test_what_is_refused_there():
    nested = keras.Sequential([keras.Input((6,)), model(), layers.Dense(4)])
    with pytest.raises(ValueError, match="No such layer"):
        theirs(nested, model(), feature(teacher_layer_name="hidden", student_layer_name="hidden"))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = model()
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match="dtypes must match"):
        theirs(model(), half, divergence())
    pair = {"teacher_layer_name": "hidden", "student_layer_name": "hidden"}
    with pytest.raises(Exception, match=r"(?i)incompatible|must match|broadcast|dimensions|shape"):
        logs_of(theirs(model(8), model(5), feature(**pair)))
    assert logs_of(theirs(model(8), model(1), feature(**pair)))["distillation_loss"] > 0


@of_the_page
def test_what_stays_of_a_teacher_there(tmp_path):
    teacher = model()
    distiller = theirs(teacher, model(), divergence())
    logs_of(distiller)
    assert not teacher.trainable
    distiller.save(tmp_path / "distiller.keras")
    with pytest.warns(UserWarning, match="compile"):
        loaded = keras.saving.load_model(tmp_path / "distiller.keras")
    assert loaded.teacher.count_params() == teacher.count_params()
    with pytest.raises((AttributeError, ValueError)):
        loaded.fit(*data(), verbose=0)


def rows():
    """Of mdistiller's methods: the class here and the weights, as the page has them."""
    return re.findall(r"(?m)^\| `([A-Z]+)` \| `(\w+)` \| ([\d.]+) / ([\d.]+) \|", PAGE.read_text())


def test_all_methods_of_mdistiller_are_there():
    assert len(rows()) == 13


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_weights_of_mdistiller_are_the_defaults(row):
    distiller = getattr(smskd, row[1])
    weights = distiller.default_label_weight, distiller.default_distillation_weight
    assert weights == (float(row[2]), float(row[3]))
