"""Several teachers, and teachers whose inputs are not the student's."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_smskd as smskd
from tests import expected
from tests.models import CLASSES, UNTRACED, convolutional, dense, images, label_loss, logits, vectors


def trained_once(distiller, x, y):
    distiller.compile(keras.optimizers.SGD(0.0), label_loss() if y is not None else None, **UNTRACED)
    return distiller.fit(x, y, batch_size=len(x), verbose=0).history["distillation_loss"][0]


@pytest.mark.parametrize("weighting", ["uniform", "tcp"])
def test_losses_are_averaged_per_sample(weighting):
    x, y = vectors(16)
    teachers, student = [dense(8, "first"), dense(5, "second"), dense(3, "third")], dense(2)
    distiller = smskd.KDDistiller(teachers=teachers, student=student, teacher_weighting=weighting)
    losses = np.array([expected.kd(logits(teacher, x), logits(student, x), 4.0) for teacher in teachers])
    weights = np.ones((3, 16))
    if weighting == "tcp":
        weights = np.array([expected.true_class_probability(logits(teacher, x), y) for teacher in teachers])
    received = trained_once(distiller, x, y)
    np.testing.assert_allclose(received, (weights / weights.sum(axis=0) * losses).sum(axis=0).mean(), rtol=1e-4)


def test_features_of_several_teachers():
    x, y = images(8)
    teachers, student = [convolutional(4, "first"), convolutional(4, "second")], convolutional(3)
    both = smskd.ATDistiller(teachers=teachers, student=student, layers={"stage1": "stage1"})
    single = [smskd.ATDistiller(teacher, student, layers={"stage1": "stage1"}) for teacher in teachers]
    losses = [trained_once(distiller, x, y) for distiller in single]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(trained_once(both, x, y), np.mean(losses), rtol=1e-4)


def test_none_of_them_changes_and_the_configuration_keeps_them():
    x, y = vectors(8)
    teachers = [dense(8, "first"), dense(5, "second")]
    before = [teacher.get_weights() for teacher in teachers]
    distiller = smskd.KDDistiller(teachers=teachers, student=dense(2), teacher_weighting="tcp")
    distiller.compile("sgd", label_loss())
    distiller.fit(x, y, verbose=0)
    for teacher, weights in zip(teachers, before):
        for received, value in zip(teacher.get_weights(), weights):
            np.testing.assert_array_equal(received, value)
    copy = smskd.KDDistiller.from_config(distiller.get_config())
    assert [teacher.name for teacher in copy.teachers] == ["first", "second"]
    assert copy.hyperparameters() == distiller.hyperparameters()
    assert len(distiller.trainable_variables) == 4


def test_the_reference_weighting_sees_their_mean_probability():
    x, y = vectors(32)
    teachers, student = [dense(8, "first"), dense(5, "second")], dense(3)
    seen = []

    def weighting(teacher_logits, y):
        seen.append(teacher_logits)
        return 1.0 - ops.softmax(teacher_logits, axis=-1)[:, 0]

    stages = [smskd.KDDistiller(teachers=teachers, student=student) for _ in range(2)]
    sequence = smskd.SequentialDistiller(stages, weighting=weighting)
    sequence.compile(keras.optimizers.SGD(0.1), label_loss(), run_eagerly=keras.backend.backend() != "jax")
    sequence.fit(x, y, batch_size=32, shuffle=False, verbose=0)
    if keras.backend.backend() != "jax":  # Where there are no values in a compiled step to look at.
        probabilities = [np.apply_along_axis(expected.softmax, 1, logits(teacher, x)) for teacher in teachers]
        np.testing.assert_allclose(
            ops.convert_to_numpy(ops.softmax(seen[-1], axis=-1)), np.mean(probabilities, axis=0), rtol=1e-3, atol=1e-6
        )
    assert seen[-1].shape == (32, CLASSES)


def test_one_of_teacher_and_teachers():
    with pytest.raises(ValueError, match="One of `teacher` and `teachers` must be given"):
        smskd.KDDistiller(dense(3), dense(2), teachers=[dense(3)])
    with pytest.raises(ValueError, match="One of `teacher` and `teachers` must be given"):
        smskd.KDDistiller(student=dense(2))
    with pytest.raises(ValueError, match="`teachers` must be a list of one model or more"):
        smskd.KDDistiller(teachers=[], student=dense(2))
    with pytest.raises(ValueError, match=r"`teacher_weighting` must be one of \['tcp', 'uniform'\]"):
        smskd.KDDistiller(teachers=[dense(3)], student=dense(2), teacher_weighting="mean")
    with pytest.raises(ValueError, match="`teachers` must have features of the same shapes. Received: 'hidden'"):
        smskd.RKDDistiller(teachers=[dense(8), dense(5)], student=dense(2), layers={"hidden": "hidden"})


@keras.saving.register_keras_serializable("tests")
def enlarge(x):
    return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)


def test_inputs_in_a_list_of_one_are_fed_without():
    x, y = images(8, size=8)
    models = (convolutional(width, size=size) for width, size in ((4, 16), (3, 8)))
    teacher, student = (keras.Model([model.input], model.output) for model in models)
    assert np.isfinite(trained_once(smskd.KDDistiller(teacher, student, teacher_preprocessing=enlarge), x, y))


def test_a_teacher_with_inputs_of_its_own():
    x, y = images(8, size=8)
    teacher, student = convolutional(4, size=16), convolutional(3, size=8)
    distiller = smskd.KDDistiller(teacher, student, teacher_preprocessing=enlarge)
    assert np.isfinite(trained_once(distiller, x, y))
    assert distiller.get_config()["teacher_preprocessing"]
    assert smskd.KDDistiller.from_config(distiller.get_config()).teacher_preprocessing is enlarge


def test_preprocessing_of_vectors_is_what_the_teacher_sees():
    x, y = vectors(8)
    teacher, student = dense(5, size=3), dense(2, size=6)
    distiller = smskd.KDDistiller(teacher, student, teacher_preprocessing=lambda x: 2.0 * x[:, :3])
    np.testing.assert_allclose(
        trained_once(distiller, x, y), expected.kd(logits(teacher, 2 * x[:, :3]), logits(student, x), 4.0).mean(), 1e-4
    )


def test_a_layer_may_preprocess():
    distiller = smskd.KDDistiller(
        convolutional(4, size=16), convolutional(3, size=8), teacher_preprocessing=layers.UpSampling2D(2)
    )
    assert np.isfinite(trained_once(distiller, *images(8, size=8)))


def test_named_inputs_are_compared_by_name():
    def model(**sizes):
        inputs = {name: keras.Input((size,), name=name) for name, size in sizes.items()}
        joined = layers.Concatenate()(list(inputs.values())) if len(inputs) > 1 else next(iter(inputs.values()))
        return keras.Model(inputs, layers.Dense(CLASSES)(joined))

    x = {"a": np.ones((8, 6), "float32"), "b": np.ones((8, 3), "float32")}
    assert np.isfinite(trained_once(smskd.KDDistiller(model(b=3), model(a=6, b=3)), x, np.zeros(8)))
    for other in ({"b": 6}, {"c": 3}):
        with pytest.raises(ValueError, match="`teacher_preprocessing` must make the inputs of a teacher"):
            smskd.KDDistiller(model(**other), model(a=6, b=3))


def test_other_inputs_without_preprocessing():
    with pytest.raises(ValueError, match=r"`teacher_preprocessing` must make .*\(None, 16, 16, 1\).*\(None, 8, 8, 1\)"):
        smskd.KDDistiller(convolutional(4, size=16), convolutional(3, size=8))
    with pytest.raises(ValueError, match=r"\(None, 3\) and the student .*, which gives \(None, 6\)"):
        smskd.KDDistiller(dense(4, size=3), dense(3), teacher_preprocessing=lambda x: 2 * x)


def test_classes_stay_those_of_all():
    with pytest.raises(ValueError, match="`teachers` must have features of the same shapes. Received: 'logits'"):
        smskd.KDDistiller(teachers=[dense(3), dense(3, classes=CLASSES + 1)], student=dense(2))
