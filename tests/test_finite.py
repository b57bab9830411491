"""A loss that is not finite never trains on in silence."""

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.base.finite import FiniteCheck, NonFiniteError
from tests.models import CLASSES, assert_same_weights, convolutional, images, label_loss, weights_of

X, Y = images(24)
FIT = {"batch_size": 8, "verbose": 0, "shuffle": False}


def distiller(student=None, optimizer="adam", **arguments):
    keras.utils.set_random_seed(0)
    made = smskd.FitNetDistiller(convolutional(4), student or convolutional(3), layers={"stage1": "stage1"})
    made.compile(optimizer, label_loss(), metrics=["accuracy"], **arguments)
    return made


class Keeps(keras.callbacks.Callback):
    """The student at the end of every epoch."""

    def __init__(self):
        super().__init__()
        self.students = []

    def on_epoch_end(self, epoch, logs=None):
        self.students.append(weights_of(self.model.student))


class Raises(keras.callbacks.Callback):
    """Raises the learning rate beyond all bounds in an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.optimizer.learning_rate = 1e30


def linear():
    """A student without ReLU, which TensorFlow joins with a convolution and lets make 0 of NaN."""
    maps = keras.layers.Conv2D(3, 3, padding="same", name="stage1")
    return keras.Sequential(
        [keras.Input((8, 8, 1)), maps, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)]
    )


def with_nan(x, sample):
    x = x.copy()
    x[sample] = np.nan
    return x


@pytest.mark.compiles
@pytest.mark.parametrize("can_be_read_again", [True, False])
def test_data_that_are_at_fault_are_named_where_their_source_has_them(can_be_read_again):
    batches = Batches(with_nan(X, 9), [0, 1, 2])
    source = batches if can_be_read_again else (batches[index] for index in range(3))
    found = r"`x\[1\]` holds inputs" if can_be_read_again else "layers give finite"
    terms = "batch 2 of its order: distillation_loss, label_loss are not finite"
    with pytest.raises(FloatingPointError, match=f"epoch 1, {terms}.*{found}"):
        distiller(linear()).fit(source, verbose=0, shuffle=False, steps_per_epoch=None if can_be_read_again else 3)


def test_sources_that_shuffle_have_no_numbers():
    class Shuffled:
        def __len__(self):
            return 3

        def __iter__(self):
            batches = Batches(with_nan(X, 9), [0, 1, 2])
            return (batches[index] for index in np.random.permutation(3))

    check = FiniteCheck(distiller())
    check.set_params({"steps": 3})
    check.on_train_begin()
    check.on_epoch_begin(0)
    assert ": a batch of `x` holds inputs" in str(check.error(NonFiniteError(0, 1, ["loss"]), Shuffled()))


def test_layers_at_fault_are_found_in_batches_of_any_size():
    x = X.copy()
    x[23] = 3e38
    student = linear()
    student.get_layer("stage1").kernel.assign(np.full((3, 3, 1, 3), 9.0))
    with pytest.raises(FloatingPointError, match="layer 'stage1' is the first whose outputs are not finite"):
        distiller(student).fit(np.tile(x, (20, 1, 1, 1)), np.tile(Y, 20), batch_size=480, verbose=0)


@pytest.mark.compiles
def test_single_batches_are_left_out_too():
    model = distiller(on_nonfinite="skip_batch")
    before = weights_of(model.student)
    model.train_on_batch(with_nan(X, 9), Y)
    assert_same_weights(model.student, before)


@pytest.mark.compiles
def test_arrays_that_are_at_fault_are_found_before_training():
    with pytest.raises(ValueError, match=r"`x` .* in 1 of 24 samples, the first of them x\[9\]. .*skip_batch"):
        distiller().fit(with_nan(X, 9), Y, **FIT)
    history = distiller(on_nonfinite="skip_batch").fit(with_nan(X, 9), Y, **FIT).history
    assert history["skipped_batches"] == [1]


def test_a_student_that_diverges_ends_the_training_and_is_as_good_as_before():
    model, keeps = distiller(optimizer=keras.optimizers.SGD(0.001)), Keeps()
    with pytest.raises(FloatingPointError) as error:
        model.fit(X, Y, epochs=3, callbacks=[keeps, Raises(1)], **FIT)
    for part in (
        "FitNet has stopped in epoch 2, batch",
        "_loss",
        "'stage1' was the first to get others",
        "on_nonfinite='skip_batch'",
    ):
        assert part in str(error.value)
    assert len(keeps.students) == 1
    assert_same_weights(model.student, keeps.students[0])


@keras.saving.register_keras_serializable("tests")
class Root(keras.layers.Layer):
    """A layer with a fault: it knows no negative numbers."""

    def call(self, x):
        return keras.ops.sqrt(x)


def test_the_layer_that_is_at_fault_is_named():
    x = inputs = keras.Input((8, 8, 1))
    below_zero = keras.initializers.Constant(-9.0)
    x = keras.layers.Conv2D(3, 3, padding="same", bias_initializer=below_zero, name="stage1")(x)
    x = Root(name="root")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    student = keras.Model(inputs, keras.layers.Dense(CLASSES)(x))
    before = weights_of(student)
    with pytest.raises(
        FloatingPointError, match="epoch 1, batch 1 of its order: label_loss is not finite.*layer 'root' is the first"
    ):
        distiller(student).fit(X, Y, **FIT)
    assert_same_weights(student, before)


class Batches(keras.utils.PyDataset):
    """Batches of the arrays, by number."""

    def __init__(self, x, numbers):
        super().__init__()
        self.x, self.numbers = x, numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        rows = slice(8 * self.numbers[index], 8 * self.numbers[index] + 8)
        return self.x[rows], Y[rows]


def test_weights_that_are_not_finite_after_the_last_batch_are_found():
    """The loss of the last batch is finite, its update is not."""
    model = distiller(optimizer=keras.optimizers.SGD(np.inf))
    before = weights_of(model.student)
    with pytest.raises(FloatingPointError, match="epoch 1: its weights are not finite"):
        model.fit(Batches(X, [0]), verbose=0)
    assert_same_weights(model.student, before)


@pytest.mark.compiles
def test_batches_are_left_out_as_if_they_had_not_been_there():
    spoiled = with_nan(X, 8)
    students, histories = [], []
    for x, batches in ((X, [0, 2]), (spoiled, [0, 1, 2])):
        model = distiller(on_nonfinite="skip_batch")
        fit = {"epochs": 2, "shuffle": False, "verbose": 0, "validation_data": (X, Y)}
        histories.append(model.fit(Batches(x, batches), **fit).history)
        students.append(model.student)
    for left, right in zip(*(weights_of(student) for student in students), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    assert histories[0].pop("skipped_batches") == [0, 0]
    assert histories[1].pop("skipped_batches") == [1, 1]
    for log, values in histories[0].items():
        np.testing.assert_allclose(histories[1][log], values, rtol=1e-5, err_msg=log)


def test_what_is_left_out_is_not_in_the_logs_otherwise():
    assert "skipped_batches" not in distiller().fit(X, Y, **FIT).history


def sequence(learning_rate):
    keras.utils.set_random_seed(0)
    teacher, student = convolutional(4), convolutional(3)
    stages = [smskd.Stage(smskd.KDDistiller(teacher, student), 2, name=name) for name in ("first", "second")]
    model = smskd.SequentialDistiller(stages)
    model.compile(keras.optimizers.SGD(learning_rate), label_loss(), metrics=["accuracy"])
    return model


@pytest.mark.compiles
def test_a_run_that_has_stopped_goes_on(tmp_path):
    fit = {"backup_dir": tmp_path, "seed": 1, **FIT}
    model, keeps = sequence(0.001), Keeps()
    with pytest.raises(FloatingPointError, match="Stage 2 'second': KD has stopped in epoch 4, batch"):
        model.fit(X, Y, callbacks=[keeps, Raises(3)], **fit)
    assert_same_weights(model.student, keeps.students[-1])
    model, later = sequence(0.001), Keeps()
    model.fit(X, Y, callbacks=[later, Raises(9)], **fit)
    assert len(later.students) == 4  # The callback remembers the first three.
    assert np.isfinite(model.history.history["loss"]).all()


def test_a_sequence_leaves_batches_out():
    spoiled = with_nan(X, 8)
    model = sequence(0.001)
    model.compile("adam", label_loss(), on_nonfinite="skip_batch")
    history = model.fit(Batches(spoiled, [0, 1, 2]), verbose=0).history
    assert history["skipped_batches"] == [1, 1, 1, 1]
    assert all(np.isfinite(weight).all() for weight in weights_of(model.student))


@pytest.mark.compiles
@pytest.mark.parametrize(("epochs", "validation"), [(0, {}), (1, {"validation_data": (X, Y)})])
def test_an_epoch_of_which_nothing_is_left_ends_the_training(epochs, validation):
    model, keeps, batches = distiller(on_nonfinite="skip_batch"), Keeps(), Batches(X, [0, 1, 2])

    def begin(epoch, logs):
        if epoch == epochs:
            batches.x = X + np.nan

    callbacks = [keeps, keras.callbacks.LambdaCallback(on_epoch_begin=begin)]
    with pytest.raises(FloatingPointError, match=f"Every batch of epoch {epochs + 1} was left out"):
        model.fit(batches, epochs=3, callbacks=callbacks, verbose=0, **validation)
    assert len(keeps.students) == epochs
    assert all(np.isfinite(weight).all() for weight in weights_of(model.student))


@pytest.mark.compiles
@pytest.mark.parametrize(("epochs", "recompile"), [(0, False), (1, True)])
def test_all_that_trains_is_as_before_so_that_training_goes_on(epochs, recompile):
    made = distiller()
    made.build_optimizer()
    if epochs:
        made.fit(X, Y, **FIT)
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in made.changing_variables]
    with pytest.raises(FloatingPointError):
        made.fit(X, Y, epochs=2, callbacks=[Raises(0)], **FIT)
    for variable, value in zip(made.changing_variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
    if recompile:
        made.compile("adam", label_loss())
    made.optimizer.learning_rate = 1e-4
    assert np.isfinite(made.fit(X, Y, **FIT).history["loss"]).all()


def test_there_are_two_choices():
    with pytest.raises(ValueError, match="`on_nonfinite` must be one of .*'raise', 'skip_batch'"):
        distiller(on_nonfinite="ignore")
