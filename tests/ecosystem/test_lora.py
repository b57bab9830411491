"""Students of which LoRA alone is trained: their kernels stay, and the reference computes what they compute."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_smskd as smskd
from keras_smskd.copies import lora_of
from tests import expected
from tests.ecosystem.world import QUICK, trained, two_stages
from tests.models import CLASSES, convolutional, dense, images, label_loss, logits, vectors

X, Y = vectors(16)
HIDDEN = {"layers": {"hidden": "hidden"}}


def adapted(alpha=2):
    keras.utils.set_random_seed(0)
    student = dense(6, "student")
    enable(student.get_layer("hidden"), alpha)
    return student


def enable(layer, alpha=2):
    layer.enable_lora(2)
    layer.lora_alpha = alpha  # Not an argument of the oldest Keras.


def stages(student):
    teacher = dense(8)
    return smskd.FitNetDistiller(teacher, student, distillation_weight=1.0, **HIDDEN), smskd.KDDistiller(
        teacher, student
    )


def kernel(layer):
    return ops.convert_to_numpy(next(weight for weight in layer.weights if weight.name == "kernel"))


def adapter(layer):
    return [ops.convert_to_numpy(weight) for weight in (layer.lora_kernel_a, layer.lora_kernel_b)]


def test_the_adapter_trains_and_the_kernel_stays():
    student = adapted()
    hidden = student.get_layer("hidden")
    before = kernel(hidden), adapter(hidden)
    trained(*stages(student), X, X, Y, optimizer=keras.optimizers.SGD(0.1), epochs=2)
    np.testing.assert_array_equal(kernel(hidden), before[0])
    assert all((new != old).any() for new, old in zip(adapter(hidden), before[1]))


@pytest.mark.compiles
def test_alpha_is_the_references_too():
    """Keras forgets it when it clones: the copy would count the adapter by an eighth."""
    student = adapted(alpha=16)
    distiller, snapshot = two_stages(*stages(student), X, optimizer=keras.optimizers.SGD(0.5))
    distiller.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(snapshot.reference, snapshot.student)
    assert lora_of(distiller.reference) == [[2, 16], None]
    assert distiller.reference.trainable_variables == []


@pytest.mark.compiles
def test_lora_may_be_enabled_when_the_sequence_is_made():
    student = dense(6)
    distiller, snapshot = two_stages(*stages(student), X)
    enable(student.get_layer("hidden"))
    distiller.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(snapshot.reference, snapshot.student)
    assert lora_of(distiller.reference) == [[2, 2], None]


def attentive():
    """Tokens in, attention whose inner layers no configuration tells of, features `pool`, logits out."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 2))
    states = keras.layers.MultiHeadAttention(1, 2, name="attention")(inputs, inputs)
    pooled = keras.layers.GlobalAveragePooling1D(name="pool")(states)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(pooled))


def stages_of_attention():
    teacher, student = attentive(), attentive()
    enable(student.get_layer("attention").value_dense, alpha=16)
    fitnet = smskd.FitNetDistiller(teacher, student, layers={"pool": "pool"}, distillation_weight=1.0)
    return fitnet, smskd.KDDistiller(teacher, student)


class Interrupts(keras.callbacks.Callback):
    def __init__(self, epoch=None):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("of", ["dense", pytest.param("attention", marks=pytest.mark.compiles)])
def test_a_saved_run_goes_on_with_its_adapters(tmp_path, of):
    x = X if of == "dense" else X.reshape(-1, 3, 2)
    fit = {"epochs": 2, "seed": 1, "verbose": 0}

    def sequence():
        pair = stages(adapted(16)) if of == "dense" else stages_of_attention()
        return two_stages(*pair, x, optimizer=keras.optimizers.SGD(0.3, 0.9))[0]

    whole, interrupted = sequence(), sequence()
    whole.stages[1].callbacks = interrupted.stages[1].callbacks = ()
    whole.fit(x, Y, callbacks=[Interrupts()], **fit)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(x, Y, callbacks=[Interrupts(1)], **fit)
    interrupted.save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    assert lora_of(loaded.student) == lora_of(whole.student)
    loaded.fit(x, Y, callbacks=[Interrupts()], **fit)
    np.testing.assert_array_equal(logits(loaded.student, x), logits(whole.student, x))


def test_a_saved_run_has_the_adapters_of_its_teacher(tmp_path):
    teacher = adapted(16)
    learned = teacher.get_layer("hidden").lora_kernel_b
    learned.assign(np.ones(learned.shape))
    distiller = smskd.SequentialDistiller([smskd.KDDistiller(teacher, dense(4))])
    distiller.compile("sgd", label_loss(), **QUICK)
    distiller.fit(X, Y, verbose=0)
    distiller.save(tmp_path / "run.keras")
    of_file = keras.saving.load_model(tmp_path / "run.keras").stages[0].distiller.teacher
    np.testing.assert_array_equal(logits(of_file, X), logits(teacher, X))


@pytest.mark.compiles
def test_a_saved_student_has_its_adapter_in_the_kernel(tmp_path):
    student = adapted()
    trained(*stages(student), X, X, Y)
    student.save(tmp_path / "student.keras")
    loaded = keras.saving.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(logits(loaded, X), logits(student, X), rtol=1e-4, atol=1e-6)
    assert not adapter(loaded.get_layer("hidden"))[1].any()


def test_the_gradients_of_a_step_are_its_own():
    """PyTorch sums them up until they are cleared, which Keras does by paths: here those of teacher and student."""

    def after(rates):
        student = adapted()
        distiller = smskd.KDDistiller(adapted(), student)
        for rate in rates:
            distiller.compile(keras.optimizers.SGD(rate), label_loss(), **QUICK)
            distiller.train_on_batch(X, Y)
        return adapter(student.get_layer("hidden"))[1]

    np.testing.assert_allclose(after([0.0, 0.0, 1.0]), after([1.0]), rtol=1e-5)


@pytest.mark.compiles
def test_the_gradients_of_terms_are_those_of_the_adapter_and_do_not_pile_up():
    student = adapted()
    distiller = smskd.KDDistiller(dense(8), student)
    distiller.compile(keras.optimizers.SGD(0.0), label_loss())
    conflict = smskd.callbacks.GradientConflict(X, Y, threshold=-1.0)
    measured = distiller.fit(X, Y, epochs=3, callbacks=[conflict], verbose=0).history["gradient_norm_label"]
    np.testing.assert_allclose(measured, [adapter_and_head_norm(student)] * 3, rtol=1e-3)


def adapter_and_head_norm(student):
    """The norm of the label loss's gradient, in NumPy; with the second factor at 0 the first has none."""
    hidden, head = student.get_layer("hidden"), student.get_layer("head")
    weights = [ops.convert_to_numpy(weight) for weight in (head.kernel, hidden.lora_kernel_a)]
    states = np.tanh(X @ kernel(hidden) + ops.convert_to_numpy(hidden.bias))
    outputs = logits(student, X)
    of_logits = np.array([expected.softmax(each) for each in outputs]) - np.eye(CLASSES)[Y]
    of_hidden = (of_logits @ weights[0].T) * (1 - states**2)
    gradients = [states.T @ of_logits, of_logits.sum(0), of_hidden.sum(0), (X @ weights[1]).T @ of_hidden]
    weight = 0.1 / len(X)  # KD's weight of the label loss.
    return weight * np.sqrt(sum((gradient**2).sum() for gradient in gradients))


def test_a_student_of_simkd_keeps_its_adapter():
    student = convolutional(3)
    stage = student.get_layer("stage1")
    enable(stage)
    stage.lora_kernel_b.assign(np.ones(stage.lora_kernel_b.shape))
    reused = smskd.reuse_classifier(convolutional(3), student, layers={"stage2": "stage2"})
    features = [keras.Model(model.input, model.get_layer("stage2").output) for model in (student, reused)]
    np.testing.assert_array_equal(*[logits(model, images(4)[0]) for model in features])
    assert reused.get_layer("stage1").lora_enabled
