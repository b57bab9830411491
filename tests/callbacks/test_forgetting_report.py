import collections
import sys

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.backup import Checkpoint
from keras_smskd.base.objectives import Objectives
from keras_smskd.callbacks import ForgettingReport
from tests import expected
from tests.models import CLASSES, Counter, convolutional, dense, images, label_loss, vectors, weights_of

X, Y = vectors(32)
HELD_OUT = vectors(21, seed=1)  # The last batch of 8 is smaller.


def outputs(x, weights):
    """Hidden features and logits of a `dense` model, in float64."""
    kernel, bias, head, head_bias = (weight.astype("float64") for weight in weights)
    hidden = np.tanh(x @ kernel + bias)
    return hidden, hidden @ head + head_bias


def row(teacher, student, x=HELD_OUT[0]):
    """What the stages of `sequence` want of a student."""
    (hints, t), (features, s) = outputs(x, teacher), outputs(x, student)
    return [expected.fitnet(hints, features).mean(), expected.kd(t, s, 4.0).mean(), expected.kd(t, s, 1.5).mean()]


def sequence(seed=0, epochs=2, eager=True):
    """Run eagerly, since compiling takes longer than all else."""
    keras.utils.set_random_seed(7)
    teacher = dense(8)
    keras.utils.set_random_seed(seed)
    student = dense(8)
    methods = [
        smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}, projector=None),
        smskd.KDDistiller(teacher, student, temperature=4.0),
        smskd.KDDistiller(teacher, student, temperature=1.5, distillation_weight=7.0, warmup_epochs=9),
    ]
    distiller = smskd.SequentialDistiller([smskd.Stage(method, epochs) for method in methods])
    distiller.compile("adam", label_loss(), run_eagerly=eager)
    return distiller


class Students(keras.callbacks.Callback):
    """Copies the student's weights at every stage's end."""

    def on_sequence_begin(self, sequence):
        self.sequence, self.weights = sequence, collections.deque()

    def on_stage_end(self, index):
        self.weights.append(self.sequence.student.get_weights())


@pytest.fixture(scope="module")
def run():
    distiller, students, report = sequence(eager=False), Students(), ForgettingReport(HELD_OUT, batch_size=8)
    history = distiller.fit(X, Y, callbacks=[students, report], verbose=0)
    return history, report, distiller.stages[0].distiller.teacher.get_weights(), students.weights


def test_the_matrix_is_every_objective_after_every_stage(run):
    history, report, teacher, students = run
    assert len(students) == 3
    np.testing.assert_allclose(report.matrix, [row(teacher, student) for student in students], rtol=1e-4)
    assert report.stages == ["FitNet", "KD", "KD"]
    np.testing.assert_array_equal(history.forgetting, report.matrix)


def test_what_is_forgotten_is_a_part_of_what_was_reached(run):
    _, report, teacher, students = run
    own = [row(teacher, student)[index] for index, student in enumerate(students)]
    last = row(teacher, students[-1])
    parts = [(after - before) / before for after, before in zip(last, own)]
    np.testing.assert_allclose(report.forgotten, parts, rtol=1e-3, atol=1e-4)
    assert report.forgotten[2] == 0


@pytest.mark.compiles
def test_a_history_without_a_report_has_no_matrix():
    assert sequence(epochs=1).fit(X, Y, verbose=0).forgetting is None


def test_before_a_run_nothing_is_known():
    report = ForgettingReport(HELD_OUT)
    assert report.matrix.shape == (0, 0)
    assert report.forgotten.shape == (0,)


@pytest.mark.compiles
def test_a_stage_is_over_when_the_best_weights_are_back():
    distiller, report = sequence(epochs=4), ForgettingReport(HELD_OUT)
    worse = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(fault=epoch))
    stopping = keras.callbacks.EarlyStopping(monitor="fault", mode="min", patience=2, restore_best_weights=True)
    history = distiller.fit(X, Y, callbacks=[report, worse, stopping], verbose=0)
    assert history.epoch == list(range(9))
    teacher = distiller.stages[0].distiller.teacher.get_weights()
    np.testing.assert_allclose(report.matrix[-1], row(teacher, distiller.student.get_weights()), rtol=1e-4)


@pytest.mark.compiles
def test_sample_weights_count_as_in_training():
    x, y = HELD_OUT
    weights = np.linspace(0.0, 2.0, len(x))
    distiller, report = sequence(), ForgettingReport((x, y, weights), batch_size=8)
    distiller.fit(X, Y, callbacks=[report], verbose=0)
    models = (distiller.stages[0].distiller.teacher, distiller.student)
    (_, t), (_, s) = (outputs(x, model.get_weights()) for model in models)
    np.testing.assert_allclose(report.matrix[-1, 1], (weights * expected.kd(t, s, 4.0)).mean(), rtol=1e-4)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return tuple(array[7 * index : 7 * index + 7] for array in HELD_OUT)


@pytest.mark.compiles
@pytest.mark.parametrize(
    "source", [Batches(), [Batches()[index] for index in range(3)].__reversed__], ids=["dataset", "iterable"]
)
def test_batches_of_a_source(run, source):
    class Again:
        def __iter__(self):
            return iter(source())

    report = ForgettingReport(source if isinstance(source, Batches) else Again())
    sequence().fit(X, Y, callbacks=[report], verbose=0)
    np.testing.assert_allclose(report.matrix, run[1].matrix, rtol=1e-4)


IMAGES, LABELS = images(16)


def of_images(seed=0):
    """Stages with memories, random numbers, and projectors that have batch statistics."""
    keras.utils.set_random_seed(seed)
    teacher, student = convolutional(6), convolutional(3)
    pool, maps = {"layers": {"pool": "pool"}}, {"layers": {"stage2": "stage2"}}
    stages = [
        smskd.FitNetDistiller(teacher, student, **maps),
        smskd.CRDDistiller(teacher, student, samples=16, negatives=4, size=5, **pool),
        smskd.MGDDistiller(teacher, student, **maps),
    ]
    distiller = smskd.SequentialDistiller(stages)
    distiller.compile("adam", label_loss(), run_eagerly=True)
    return distiller


def with_index():
    return {"inputs": IMAGES, "index": np.arange(16)}


@pytest.mark.compiles
def test_the_compiled_evaluation_changes_nothing():
    distillers = [stage.distiller for stage in of_images().stages]
    before = keras.tree.flatten([weights_of(distiller) for distiller in distillers])
    objectives = Objectives(distillers)
    first, second = (objectives.means([(with_index(), LABELS, None)] * 2) for _ in range(2))
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)
    after = keras.tree.flatten([weights_of(distiller) for distiller in distillers])
    for value, same in zip(before, after, strict=True):
        np.testing.assert_array_equal(value, same)


@pytest.mark.compiles
def test_training_is_the_same_with_and_without():
    students = []
    for callbacks in ([], [ForgettingReport((with_index(), LABELS), batch_size=8)]):
        distiller = of_images()
        distiller.fit(IMAGES, LABELS, batch_size=8, callbacks=callbacks, verbose=0)
        students.append([weights_of(distiller), [weights_of(stage.distiller) for stage in distiller.stages]])
    for value, same in zip(*map(keras.tree.flatten, students), strict=True):
        np.testing.assert_array_equal(value, same)
    matrix = callbacks[0].matrix
    assert matrix.shape == (3, 3)
    assert np.isfinite(matrix).all()


@pytest.mark.compiles
def test_a_method_that_knows_samples_by_index_is_nan_without_it():
    report, distiller = ForgettingReport((IMAGES, LABELS)), of_images()
    distiller.fit(IMAGES, LABELS, callbacks=[report], verbose=0)
    assert np.isnan(report.matrix).tolist() == [[False, True, False]] * 3
    assert np.isnan(report.forgotten).tolist() == [False, True, False]


@pytest.mark.compiles
def test_the_objectives_are_what_training_logs():
    """Of an untrained student without batch statistics, for one batch: views, joint methods, several teachers."""
    teachers, student = [dense(6, size=36), dense(6, size=36)], dense(3, size=36)

    def as_images(model):
        return keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), *model.layers])

    models = {"teachers": [as_images(teacher) for teacher in teachers], "student": as_images(student)}
    hidden = {"hidden": "hidden"}
    sskd = smskd.SSKDDistiller(**models, layers=hidden)
    brighter = keras.layers.Rescaling(2.0)
    joint = [smskd.SPDistiller(**models, layers=hidden), smskd.KDDistiller(**models)]
    stages = [
        sskd.initial(),
        smskd.KDDistiller(**models, teacher_weighting="tcp"),
        sskd,
        smskd.KDDistiller(**models, teacher_preprocessing=brighter),
        smskd.JointDistiller(joint, weights=[2.0, 3.0]),
    ]
    x, y = images(12, size=6)
    distiller, report = smskd.SequentialDistiller(stages), ForgettingReport((x, y))
    distiller.compile(keras.optimizers.SGD(0.0), label_loss(), run_eagerly=True)
    history = distiller.fit(x, y, shuffle=False, callbacks=[report], verbose=0).history
    np.testing.assert_allclose(report.matrix, [history["distillation_loss"]] * 5, rtol=1e-4)


class Counting(smskd.KDDistiller):
    """Counts calls from Python: every batch when run eagerly, every trace when compiled."""

    def __init__(self, *models):
        super().__init__(*models)
        self.calls = []

    def distillation_loss(self, teacher, student, y):
        self.calls.append(1)
        return super().distillation_loss(teacher, student, y)


class Mark(keras.callbacks.Callback):
    """Notes counts at every stage's end."""

    def __init__(self, *lists):
        super().__init__()
        self.lists, self.seen = lists, []

    def on_stage_end(self, index):
        self.seen.append([len(counted) for counted in self.lists])


def counted(eager):
    """How often the teacher, the student and a method are called for the rows of three stages, of 3 batches each."""
    teacher, student = (keras.Sequential([keras.Input((6,)), Counter(), keras.layers.Dense(CLASSES)]) for _ in range(2))
    stages = [Counting(teacher, student) for _ in range(3)]
    lists = [teacher.layers[0].calls, student.layers[0].calls, stages[0].calls]
    before, after = Mark(*lists), Mark(*lists)
    distiller = smskd.SequentialDistiller(stages)
    distiller.compile("sgd", label_loss(), run_eagerly=eager)
    report = ForgettingReport((X[:24], Y[:24]), batch_size=8)
    distiller.fit(X, Y, batch_size=8, callbacks=[before, report, after], verbose=0)
    return np.subtract(after.seen, before.seen).tolist()


def test_teacher_and_student_run_once_a_batch_for_all_stages():
    assert counted(eager=True) == [[3, 3, 3]] * 3


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch compiles nothing")
def test_the_evaluation_is_compiled_once_a_run():
    assert counted(eager=False) == [[0, 0, 0]] * 3


class EndError(Exception):
    """What ends a process."""


class EndsIn(keras.callbacks.Callback):
    def __init__(self, batch=None, stage=None):
        super().__init__()
        self.ends = collections.deque([batch, stage])  # Nothing that a checkpoint would give back.

    def on_train_batch_end(self, batch, logs=None):
        if (self.model.temperature if hasattr(self.model, "temperature") else 0, batch) == (4.0, self.ends[0]):
            raise EndError

    def on_stage_end(self, index):
        if index == self.ends[1]:
            raise EndError


def fit_in(directory, order=1, seed=0, **end):
    report = ForgettingReport(HELD_OUT, batch_size=8)
    distiller = sequence(seed, epochs=1)
    callbacks = [EndsIn(**end), report][::order]
    history = distiller.fit(X, Y, batch_size=8, seed=5, backup_dir=directory, callbacks=callbacks, verbose=0)
    np.testing.assert_array_equal(history.forgetting, report.matrix)
    return report


@pytest.fixture(scope="module")
def undisturbed():
    return fit_in(None).matrix


@pytest.mark.parametrize(
    ("end", "order"),
    [
        ({"batch": 2}, 1),
        pytest.param({"stage": 0}, -1, marks=pytest.mark.compiles),
        pytest.param({"stage": 2}, -1, marks=pytest.mark.compiles),
    ],
)
def test_a_run_that_goes_on_ends_with_the_same_matrix(tmp_path, undisturbed, end, order):
    with pytest.raises(EndError):
        fit_in(tmp_path, order, **end)
    np.testing.assert_allclose(fit_in(tmp_path, order, seed=3).matrix, undisturbed, rtol=1e-6)


@pytest.mark.compiles
def test_a_run_that_was_over_still_has_its_matrix(tmp_path, undisturbed):
    fit_in(tmp_path)
    again = fit_in(tmp_path, seed=3)
    np.testing.assert_allclose(again.matrix, undisturbed, rtol=1e-6)
    assert again.stages == ["FitNet", "KD", "KD"]
    arrays = Checkpoint.last_in(tmp_path / "checkpoints").arrays
    assert "callback/0" in arrays
    assert len(HELD_OUT[0]) not in {len(array) for array in arrays.values() if array.ndim}  # No held-out data.


@pytest.mark.compiles
def test_every_fit_begins_a_new_matrix():
    distiller, report = sequence(epochs=1), ForgettingReport(HELD_OUT)
    first, second = (distiller.fit(X, Y, callbacks=[report], verbose=0).forgetting for _ in range(2))
    assert first.shape == second.shape == (3, 3)
    assert (first != second).all()


@pytest.mark.compiles
def test_the_heat_map_is_an_image_in_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    report = ForgettingReport(HELD_OUT, log_dir=tmp_path)
    sequence(epochs=1).fit(X, Y, callbacks=[report], verbose=0)
    heights = []
    for path in sorted(tmp_path.glob("events*")):
        events = EventAccumulator(str(path)).Reload()
        [image] = events.Images("forgetting")
        assert image.encoded_image_string.startswith(b"\x89PNG")
        heights.append((image.step, image.height, image.width))
    heights.sort()
    assert [step for step, *_ in heights] == [1, 2, 3]
    assert heights[0][1] < heights[2][1]
    assert [width for *_, width in heights] == [640] * 3


def test_the_figure_shows_numbers_and_changes(run):
    report = run[1]
    axes, _ = report.figure().axes
    texts = [text.get_text().split("\n") for text in axes.texts]
    assert [float(text[0]) for text in texts] == pytest.approx(report.matrix.ravel(), rel=1e-2)
    assert texts[6][1] == f"{report.forgotten[0]:+.0%}"
    assert [len(texts[place]) for place in (0, 4, 8)] == [1, 1, 1]
    changes = [float(text[1].rstrip("%")) if len(text) > 1 else 0.0 for text in texts]
    dark = [abs(change) > 70 for change in changes]
    assert [text.get_color() == "white" for text in axes.texts] == dark
    [image] = axes.images
    np.testing.assert_allclose(image.get_array()[2], report.forgotten)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1 FitNet", "2 KD", "3 KD"]


@pytest.mark.compiles
def test_the_figure_of_a_run_that_was_cut():
    report = ForgettingReport(HELD_OUT)
    with pytest.raises(EndError):
        sequence().fit(X, Y, callbacks=[report, EndsIn(stage=0)], verbose=0)
    assert len(report.figure().axes[0].texts) == 3
    assert np.isnan(report.forgotten).tolist() == [False, True, True]


@pytest.mark.parametrize("package", ["matplotlib", "tensorboard"])
def test_without_a_package_the_error_says_how_to_get_it(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"`ForgettingReport`.*pip install {package}"):
        ForgettingReport(HELD_OUT, log_dir="logs")


def test_a_figure_needs_matplotlib(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        run[1].figure()
