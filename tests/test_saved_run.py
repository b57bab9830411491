"""A run in one file goes on exactly where it was."""

import functools
import json
import zipfile

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd import projectors, saved_run
from tests.models import UNTRACED, assert_same_weights, convolutional, images, label_loss, weights_of

X, Y = images(24)
FIT = {"batch_size": 8, "verbose": 0, "seed": 3, "validation_data": (X, Y)}


def student():
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="stage1")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(0.3)(x)
    return keras.Model(inputs, keras.layers.Dense(4)(x))


def sequence(**arguments):
    keras.utils.set_random_seed(7)
    teacher, learning = convolutional(6), student()
    joint = [smskd.KDDistiller(teacher, learning), smskd.SPDistiller(teacher, learning, layers={"pool": "pool"})]
    stages = [
        smskd.Stage(smskd.FitNetDistiller(teacher, learning, layers={"stage1": "stage1"}), 2),
        smskd.Stage(smskd.JointDistiller(joint, weights=[1.0, 10.0]), 2, optimizer=keras.optimizers.SGD(0.1, 0.9)),
    ]
    arguments = {"reference_weight": 2.0, "reference_temperature": 3.0, "weighting": "uniform", **arguments}
    distiller = smskd.SequentialDistiller(stages, **arguments)
    distiller.compile(keras.optimizers.Adam(0.01), label_loss(), metrics=["accuracy"], **UNTRACED)
    return distiller


class Interrupts(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1 and self.now == self.epoch:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch


def interrupted(epoch):
    distiller = sequence()
    with pytest.raises(KeyboardInterrupt):
        distiller.fit(X, Y, callbacks=[Interrupts(epoch)], **FIT)
    return distiller


@pytest.fixture(scope="module")
def whole():
    distiller = sequence()
    distiller.fit(X, Y, callbacks=[Interrupts(None)], **FIT)
    return distiller


@pytest.mark.parametrize("epoch", [1, *(pytest.param(epoch, marks=pytest.mark.compiles) for epoch in (2, 3))])
def test_a_run_that_was_interrupted_goes_on(tmp_path, whole, epoch):
    interrupted(epoch).save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    assert isinstance(loaded, smskd.SequentialDistiller)
    history = loaded.fit(X, Y, callbacks=[Interrupts(None)], **FIT)
    assert_same_weights(loaded.student, weights_of(whole.student))
    assert_same_weights(loaded.reference, weights_of(whole.reference))
    np.testing.assert_equal(history.history, whole.history.history)


def test_the_plan_comes_back(tmp_path, whole):
    whole.save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    assert loaded.plan() == whole.plan()
    assert loaded.stages[0].distiller.student is loaded.stages[1].distiller.student is loaded.student
    assert loaded.stages[0].distiller.teacher is loaded.stages[1].distiller.teacher
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), whole.predict(X, verbose=0))
    for name in ("student", "reference"):
        assert_same_weights(getattr(loaded, name), weights_of(getattr(whole, name)))


@pytest.mark.compiles
def test_a_run_that_was_over_begins_anew_with_its_student(tmp_path):
    distiller = sequence()
    distiller.fit(X, Y, **FIT)
    distiller.save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    expected, history = distiller.fit(X, Y, **FIT), loaded.fit(X, Y, **FIT)
    assert history.epoch == [0, 1, 2, 3]
    np.testing.assert_equal(history.history, expected.history)
    assert_same_weights(loaded.student, weights_of(distiller.student))


def shared(kind):
    """Sequences whose stages have a distiller in common, or its layers."""
    keras.utils.set_random_seed(7)
    teacher, learning = convolutional(6), student()
    maps = {"layers": {"stage1": "stage1"}}
    kd, fitnet, ft = (
        smskd.KDDistiller(teacher, learning),
        smskd.FitNetDistiller(teacher, learning, **maps),
        smskd.FTDistiller(teacher, learning, **maps),
    )
    if kind == "used before":
        compiled(smskd.SequentialDistiller([kd, fitnet]))
    kinds = {
        "twice": lambda: [fitnet, kd, fitnet],
        "joined later": lambda: [fitnet, kd, smskd.JointDistiller([fitnet, kd])],
        "joined before": lambda: [smskd.JointDistiller([fitnet, kd]), fitnet],
        "prepared": lambda: [ft.initial(distillation_weight=2.0), ft],
        "used before": lambda: [kd, fitnet],
    }
    return compiled(smskd.SequentialDistiller(kinds[kind]()))


def compiled(distiller):
    distiller.compile("adam", label_loss(), **UNTRACED)
    return distiller


@pytest.mark.compiles
@pytest.mark.parametrize("kind", ["twice", "joined later", "joined before", "prepared", "used before"])
def test_what_stages_share_is_shared_again(tmp_path, kind):
    whole, begun = shared(kind), shared(kind)
    whole.fit(X, Y, **FIT)
    with pytest.raises(KeyboardInterrupt):
        begun.fit(X, Y, callbacks=[Interrupts(1)], **FIT)
    begun.save(tmp_path / "run.keras")
    loaded = smskd.SequentialDistiller.load(tmp_path / "run.keras")
    assert loaded.plan() == begun.plan()
    loaded.fit(X, Y, callbacks=[Interrupts(-1)], **FIT)
    assert_same_weights(loaded.student, weights_of(whole.student))


@pytest.mark.compiles
def test_a_run_that_never_began_is_saved(tmp_path, whole):
    sequence().save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    loaded.fit(X, Y, **FIT)
    assert_same_weights(loaded.student, weights_of(whole.student))


@pytest.mark.compiles
def test_a_run_without_its_teacher(tmp_path, whole):
    distiller = interrupted(3)
    distiller.save(tmp_path / "with.keras")
    distiller.save(tmp_path / "without.keras", include_teacher=False)
    sizes = [(tmp_path / name).stat().st_size for name in ("with.keras", "without.keras")]
    assert sizes[0] - sizes[1] > 4 * distiller.stages[0].distiller.teacher.count_params()
    with pytest.raises(ValueError, match="saved without its teacher"):
        keras.saving.load_model(tmp_path / "without.keras")
    teacher = sequence().stages[0].distiller.teacher
    loaded = smskd.SequentialDistiller.load(tmp_path / "without.keras", teacher=teacher)
    loaded.fit(X, Y, callbacks=[Interrupts(None)], **FIT)
    assert_same_weights(loaded.student, weights_of(whole.student))
    teacher.layers[-1].bias.assign([1.0, 0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="`teacher` must be that of the run"):
        smskd.SequentialDistiller.load(tmp_path / "without.keras", teacher=teacher)


@pytest.mark.compiles
def test_a_run_that_was_kept_within_epochs_is_seeded_as_before(tmp_path):
    arguments = {**FIT, "backup_dir": tmp_path / "run", "backup_every": 1}
    expected, ended = sequence(), sequence()
    expected.fit(X, Y, callbacks=[Interrupts(None)], **{**arguments, "backup_dir": tmp_path / "whole"})
    with pytest.raises(KeyboardInterrupt):
        ended.fit(X, Y, callbacks=[Interrupts(2)], **arguments)
    ended.save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    loaded.fit(X, Y, callbacks=[Interrupts(None)], **FIT)
    assert_same_weights(loaded.student, weights_of(expected.student))


@pytest.mark.compiles
def test_other_data_are_refused(tmp_path):
    interrupted(3).save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    before = weights_of(loaded.student)
    other = {**FIT, "batch_size": 6}
    with pytest.raises(ValueError, match=r"fit.batch_size: 8 before, 6 now.*`resume='force'`"):
        loaded.fit(X, Y, callbacks=[Interrupts(None)], **other)
    assert_same_weights(loaded.student, before)
    loaded.fit(X, Y, callbacks=[Interrupts(None)], resume="force", **other)
    assert loaded.history.epoch == [0, 1, 2, 3]


@pytest.mark.compiles
def test_other_callbacks_begin_anew(tmp_path):
    interrupted(3).save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    with pytest.warns(UserWarning, match=r"callbacks begin anew.*Received: \[\], before: \['Interrupts'\]"):
        loaded.fit(X, Y, **FIT)


def test_a_file_runs_no_code(tmp_path):
    """Keras's safe mode refuses functions in a file, whoever wrote them into it."""
    sequence().save(tmp_path / "run.keras")
    with zipfile.ZipFile(tmp_path / "run.keras") as file:
        content = {name: file.read(name) for name in file.namelist()}
    config = json.loads(content["config.json"])
    with pytest.warns(UserWarning, match="lambda"):
        code = keras.saving.serialize_keras_object(lambda teacher, y: exec("raise SystemExit"))
    config["config"]["weighting"] = code
    content["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "crafted.keras", "w") as file:
        for name, data in content.items():
            file.writestr(name, data)
    for load in (keras.saving.load_model, smskd.SequentialDistiller.load):
        with pytest.raises(ValueError, match="[Ll]ambda|safe"):
            load(tmp_path / "crafted.keras")


def named(teacher_logits, y):
    return keras.ops.ones_like(teacher_logits[:, 0])


def in_lambda(function):
    return lambda *arguments: function(*arguments)  # noqa: PLW0108


@pytest.mark.compiles
@pytest.mark.parametrize("nameless", [in_lambda, functools.partial])
@pytest.mark.parametrize(("name", "function"), [("weighting", named), ("student_factory", student)])
def test_a_function_without_a_name_is_refused_before_it_cannot_be_loaded(tmp_path, name, function, nameless):
    distiller = sequence(**{name: nameless(function)})
    with pytest.raises(ValueError, match=f"`{name}` of a run that is saved must be a function with a name"):
        distiller.save(tmp_path / "run.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.compiles
def test_a_projector_without_a_name_is_refused_and_one_of_ours_is_found(tmp_path):
    def run(make):
        keras.utils.set_random_seed(7)
        layers = {"stage1": "stage1"}
        fitnet = smskd.FitNetDistiller(convolutional(6), student(), layers=layers, projector=make)
        return compiled(smskd.SequentialDistiller([fitnet]))

    nameless = functools.partial(projectors.projector, activation=None)
    with pytest.raises(ValueError, match="`projector` of a run that is saved must be a function with a name"):
        run(nameless).save(tmp_path / "run.keras")
    run(projectors.affine_projector).save(tmp_path / "run.keras")
    loaded = smskd.SequentialDistiller.load(tmp_path / "run.keras")
    assert isinstance(loaded.stages[0].distiller.projectors[0].layers[-1], keras.layers.BatchNormalization)


def test_a_function_with_a_name_is_handed_to_load(tmp_path):
    distiller = sequence(weighting=named)
    distiller.save(tmp_path / "run.keras")
    loaded = smskd.SequentialDistiller.load(tmp_path / "run.keras", custom_objects={"named": named})
    assert loaded.weighting is named


@pytest.mark.compiles
def test_a_loaded_run_is_saved_as_it_is(tmp_path, whole):
    interrupted(2).save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    loaded.student.set_weights([0.0 * weight for weight in loaded.student.get_weights()])
    loaded.save(tmp_path / "again.keras", include_teacher=False)
    assert not any(weight.any() for weight in loaded.student.get_weights())
    with zipfile.ZipFile(tmp_path / "again.keras") as file, file.open("assets/run.npz") as content:
        assert not [name for name in np.load(content).files if name.startswith("teacher/")]
    teacher = loaded.stages[0].distiller.teacher
    again = smskd.SequentialDistiller.load(tmp_path / "again.keras", teacher=teacher)
    again.fit(X, Y, callbacks=[Interrupts(None)], **FIT)
    assert_same_weights(again.student, weights_of(whole.student))


@pytest.mark.compiles
def test_a_loaded_run_has_its_seed(tmp_path, whole):
    interrupted(3).save(tmp_path / "run.keras")
    loaded = keras.saving.load_model(tmp_path / "run.keras")
    with pytest.raises(ValueError, match="`seed` must be that of the run that goes on, 3, or None.*seed=5"):
        loaded.fit(X, Y, **{**FIT, "seed": 5})
    loaded.fit(X, Y, callbacks=[Interrupts(None)], **{**FIT, "seed": None})
    assert_same_weights(loaded.student, weights_of(whole.student))


def test_a_spoiled_file_is_refused(tmp_path):
    sequence().save(tmp_path / "run.keras")
    content = (tmp_path / "run.keras").read_bytes()
    (tmp_path / "run.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises((ValueError, OSError, zipfile.BadZipFile)):
        keras.saving.load_model(tmp_path / "run.keras")


@pytest.mark.compiles
def test_a_run_of_another_version_is_refused(tmp_path, monkeypatch):
    write = saved_run.Checkpoint.write_to
    lean = lambda checkpoint, file: write(saved_run.Checkpoint({"seed": 0, "stage": 0}, checkpoint.arrays), file)  # noqa: E731
    monkeypatch.setattr(saved_run.Checkpoint, "write_to", lean)
    sequence().save(tmp_path / "run.keras")
    with pytest.raises(
        ValueError, match=r"`filepath`.*a run of another version, without \['include_teacher', 'teacher', 'rec"
    ):
        keras.saving.load_model(tmp_path / "run.keras")


def test_a_run_is_a_keras_file(tmp_path):
    with pytest.raises(ValueError, match="`filepath` of a run must end in '.keras'"):
        sequence().save(tmp_path / "run.h5")
