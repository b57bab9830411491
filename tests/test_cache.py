"""What teachers and reference output, computed once: the same training, and never old knowledge for a new sample."""

import functools
import json

import keras
import numpy as np
import pytest

import keras_smskd as smskd
from keras_smskd.arrays import in_numpy
from keras_smskd.cache import outputs
from keras_smskd.cache.digests import digests_of
from tests.models import UNTRACED, assert_same_weights, convolutional, images, label_loss, weights_of

SAMPLES, BATCH_SIZE = 22, 8
X, Y = images(SAMPLES)


class Calls(keras.layers.Layer):
    """Counts, in a variable of the compiled step, how many samples pass."""

    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign_add(keras.ops.cast(keras.ops.shape(x)[0], "float32"))
        return x


def counting(model):
    counter = Calls()
    inputs = keras.Input(model.input_shape[1:])
    x = counter(inputs)
    for layer in model.layers[1:]:
        x = layer(x)
    return keras.Model(inputs, x), counter.count


def models():
    keras.utils.set_random_seed(0)
    return convolutional(6), convolutional(3)


def three_stages(teacher, student, **arguments):
    return smskd.SequentialDistiller(
        [
            smskd.KDDistiller(teacher, student),
            fitnet(teacher, student),
            smskd.RKDDistiller(teacher, student, layers={"pool": "pool"}),
        ],
        **arguments,
    )


def fitnet(teacher, student):
    return smskd.FitNetDistiller(teacher, student, layers={"stage2": "stage2"}, distillation_weight=1.0)


def trained(x=X, y=Y, make=fitnet, teacher=None, **arguments):
    """The student's weights and the losses of a run that is the same but for its arguments."""
    own, student = models()
    distiller = make(teacher or own, student)
    distiller.compile("adam", label_loss(), metrics=["accuracy"], **UNTRACED)
    keras.utils.set_random_seed(1)
    if hasattr(x, "shape"):
        arguments = {"batch_size": BATCH_SIZE, **arguments}
    history = distiller.fit(x, y, **{"epochs": 2, "verbose": 0, **arguments})
    return weights_of(student), history.history["loss"]


@functools.cache
def online():
    return trained()


def assert_same_run(run, other):
    """Bit for bit on PyTorch; elsewhere to rounding, since the teacher is compiled into another program."""
    rtol, atol = (0, 0) if keras.backend.backend() == "torch" else (2e-4, 1e-5)
    for a, b in zip(run[0], other[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
    np.testing.assert_allclose(run[1], other[1], rtol=rtol)


ARGUMENTS = {
    "three stages": {"make": three_stages},
    "three stages, validation": {"make": three_stages, "validation_split": 0.25},
    "sample weights": {"sample_weight": np.linspace(0, 2, SAMPLES)},
    "class weights": {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5, 3: 1.0}},
    "in order": {"shuffle": False},
}


@pytest.mark.compiles
@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_the_student_is_that_of_a_run_without_cache(arguments):
    assert_same_run(trained(**arguments), trained(**arguments, cache=True))


class Batches(keras.utils.PyDataset):
    def __init__(self, change=lambda x: x):
        super().__init__()
        self.change = change

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(BATCH_SIZE * index, BATCH_SIZE * (index + 1))
        return self.change(X[rows]), Y[rows]


def endless():
    while True:
        yield from (Batches()[index] for index in range(3))


class Again:
    """Can be iterated again and again, in another order each time."""

    def __init__(self):
        self.order = np.random.default_rng(0)

    def __iter__(self):
        for index in self.order.permutation(3):
            yield Batches()[int(index)]


class InOrder:
    def __iter__(self):
        return iter([Batches()[index] for index in range(3)])


@pytest.mark.compiles
def test_class_weights_reach_the_batches_of_a_source():
    weights = {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}, "shuffle": False}
    assert_same_run(trained(Batches(), None, **weights), trained(InOrder(), None, **weights, cache=True))

    class Weighted:
        def __iter__(self):
            return ((*batch, np.ones(len(batch[1]))) for batch in InOrder())

    with pytest.raises(ValueError, match="`class_weight` and the sample weights of a source cannot both be given"):
        trained(Weighted(), None, **weights, cache=True)


def test_a_dataset_gives_the_same_student():
    assert_same_run(trained(Batches(), None), trained(Batches(), None, cache=True))


@pytest.mark.compiles
def test_a_generator_that_begins_anew_gives_the_same_student():
    arguments = {"make": smskd.KDDistiller, "steps_per_epoch": 3, "epochs": 1}  # Keras reads ahead, into the next.
    assert_same_run(trained(endless(), None, **arguments), trained(endless(), None, **arguments, cache=True))


def test_samples_are_known_in_any_order():
    distiller = smskd.KDDistiller(*models())
    distiller.compile(keras.optimizers.SGD(0.0), label_loss())
    online = distiller.fit(X, Y, batch_size=BATCH_SIZE, shuffle=False, verbose=0).history["distillation_loss"]
    cached = distiller.fit(Again(), epochs=2, verbose=0, cache=True).history["distillation_loss"]
    np.testing.assert_allclose(cached, online * 2, rtol=1e-4)


def test_the_teacher_is_called_once_for_each_sample():
    teacher, count = counting(convolutional(6))
    trained(teacher=teacher, make=smskd.KDDistiller, epochs=5, cache=True)
    before = float(count.numpy())
    assert before <= SAMPLES + BATCH_SIZE + 4  # Batches are filled up to one size; two samples to look at shapes.
    trained(teacher=teacher, make=smskd.KDDistiller, epochs=5)
    assert float(count.numpy()) >= before + 5 * SAMPLES


@pytest.mark.compiles
def test_several_teachers():
    def make(teacher, student):
        keras.utils.set_random_seed(5)
        return smskd.KDDistiller(teachers=[teacher, convolutional(4)], student=student, teacher_weighting="tcp")

    assert_same_run(trained(make=make), trained(make=make, cache=True))


def test_a_method_that_needs_indices():
    def make(teacher, student):
        arguments = {"layers": {"pool": "pool"}, "samples": SAMPLES, "negatives": 4, "size": 4}
        return smskd.CRDDistiller(teacher, student, **arguments)

    assert_same_run(trained(make=make), trained(make=make, cache=True))


def files(directory):
    return {path.relative_to(directory): path.stat().st_size for path in directory.rglob("*.*")}


@pytest.mark.compiles
def test_a_directory_serves_the_next_run(tmp_path):
    first = trained(cache=tmp_path)
    kept = files(tmp_path)
    assert_same_run(first, online())
    assert_same_run(first, trained(cache=str(tmp_path)))
    assert files(tmp_path) == kept
    numbers = 4 + 4 * 4 * 12  # Logits and maps.
    assert sum(size for path, size in kept.items() if path.suffix == ".bin") == SAMPLES * (16 + 4 * numbers)


@pytest.mark.compiles
def test_half_precision_takes_half_the_size(tmp_path):
    of_half, of_full = (trained(cache=smskd.Cache(tmp_path / dtype, dtype=dtype)) for dtype in ("float16", "float32"))
    sizes = [sum(files(tmp_path / dtype).values()) for dtype in ("float16", "float32")]
    assert sizes[0] < 0.6 * sizes[1]
    np.testing.assert_allclose(of_half[1], of_full[1], rtol=1e-2)
    huge = convolutional(6)
    huge.layers[-1].kernel.assign(1e6 * huge.layers[-1].kernel)
    with pytest.raises(ValueError, match="`cache` of dtype='float16' holds numbers up to 65504"):
        trained(teacher=huge, cache=smskd.Cache(dtype="float16"))


@pytest.mark.compiles
def test_another_teacher_has_its_own(tmp_path):
    trained(cache=tmp_path)
    other = convolutional(6)
    assert_same_run(trained(teacher=other), trained(teacher=other, cache=tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.compiles
def test_samples_that_are_new_are_added(tmp_path):
    cache = smskd.Cache(tmp_path)
    trained(X[:10], Y[:10], cache=cache)
    sizes = files(tmp_path)
    assert_same_run(online(), trained(cache=cache))
    assert_same_run(online(), trained(cache=tmp_path))
    assert all(files(tmp_path)[path] == size for path, size in sizes.items())


def test_augmentation_behind_the_cache_is_refused():
    generator = np.random.default_rng(0)
    source = Batches(change=lambda x: x if generator.random() < 0.5 else x[:, :, ::-1])
    with pytest.raises(ValueError, match="`cache` knows the samples of the source as they were when it was filled"):
        trained(source, None, epochs=20, cache=True)


def test_a_source_without_end_that_always_changes_is_told_of(monkeypatch):
    monkeypatch.setattr(outputs, "MANY_EPOCHS", 3)
    generator = np.random.default_rng(0)

    class Changing:
        def __iter__(self):
            for _ in range(10):
                yield generator.normal(size=(BATCH_SIZE, 8, 8, 1)), Y[:BATCH_SIZE]

    message = "`cache` has read 48 samples, none of them twice, and goes on"
    with pytest.warns(UserWarning, match=message), pytest.raises(ValueError, match="samples that it never saw"):
        trained(Changing(), None, cache=True, steps_per_epoch=2)


@pytest.mark.compiles
@pytest.mark.parametrize("kept", ["memory", "directory"])
def test_a_changed_preprocessing_meets_no_old_knowledge(tmp_path, kept):
    """The functions have the same code; every second sample is known from the first."""

    def make(scale):
        return lambda teacher, student: smskd.KDDistiller(
            teacher, student, teacher_preprocessing=lambda x: scale * x, label_weight=0.0
        )

    cache = smskd.Cache(tmp_path if kept == "directory" else None)
    trained(X[::2], Y[::2], make=make(1.0), cache=cache)
    for _ in range(2):
        assert_same_run(trained(make=make(3.0)), trained(make=make(3.0), cache=cache))


class Flips(keras.layers.Layer):
    def call(self, x):
        return keras.ops.flip(keras.ops.cast(x, "float32"), axis=2)


@pytest.mark.compiles
def test_stages_of_other_preprocessings_do_not_share_what_is_known():
    """Images are integers, whose example is made otherwise."""
    x = np.random.default_rng(0).integers(0, 255, X.shape).astype("uint8")

    def make(teacher, student):
        inputs = keras.Input((8, 8, 1), dtype="uint8")
        of_integers = [
            keras.Model(inputs, model(keras.layers.Rescaling(1 / 255)(inputs))) for model in (teacher, student)
        ]
        stages = [smskd.KDDistiller(*of_integers, teacher_preprocessing=Flips()), smskd.KDDistiller(*of_integers)]
        return smskd.SequentialDistiller(stages, reference_weight=0.0)

    assert_same_run(trained(x, make=make), trained(x, make=make, cache=True))


@pytest.mark.compiles
def test_a_preprocessing_that_no_example_shows_meets_no_old_knowledge(tmp_path):
    """Only the token ids above 1 become others."""
    x = np.random.default_rng(0).integers(0, 10, (SAMPLES, 5))
    table = np.array([0, 1, *range(9, 1, -1)])

    def model(width):
        embedding = keras.layers.Embedding(10, width)
        return keras.Sequential(
            [keras.Input((5,), dtype="int32"), embedding, keras.layers.Flatten(), keras.layers.Dense(4)]
        )

    def run(preprocessing, **arguments):
        keras.utils.set_random_seed(0)
        distiller = smskd.KDDistiller(model(4), model(3), teacher_preprocessing=preprocessing, label_weight=0.0)
        distiller.compile("sgd", label_loss(), **UNTRACED)
        return distiller.fit(x, Y, batch_size=BATCH_SIZE, shuffle=False, verbose=0, **arguments).history["loss"]

    def changed(x):
        return keras.ops.take(keras.ops.convert_to_tensor(table), x)

    losses = {preprocessing: run(preprocessing)[0] for preprocessing in (None, changed)}
    assert abs(losses[changed] - losses[None]) > 1e-4 * losses[None]
    for preprocessing in (changed, None, lambda x: x, changed, None):
        expected = losses.get(preprocessing, losses[None])
        np.testing.assert_allclose(run(preprocessing, cache=tmp_path)[0], expected, rtol=1e-5)


@pytest.mark.compiles
def test_the_same_weights_in_another_architecture_are_another_teacher(tmp_path):
    teacher, other = convolutional(6), convolutional(6)
    other.set_weights(teacher.get_weights())
    other.get_layer("stage2").activation = keras.activations.tanh
    trained(teacher=teacher, cache=tmp_path)
    assert_same_run(trained(teacher=other), trained(teacher=other, cache=tmp_path))


def test_content_is_more_than_bytes():
    arrays = [np.zeros((2, 8, 8)), np.zeros((2, 16, 4)), np.zeros((2, 8, 8), "float32"), np.zeros((2, 8, 8), "int32")]
    inputs = [*arrays, [np.ones((2, 2)), np.ones((2, 1))], [np.ones((2, 1)), np.ones((2, 2))]]
    assert len({digests_of(x)[0] for x in inputs}) == len(inputs)
    assert all(len(set(digests_of(x))) == 1 for x in inputs)
    with pytest.raises(TypeError, match="`cache` and `seed` need data that are numbers. Received: .*dtype=object"):
        in_numpy(np.array(["a", 1], dtype=object))


class Resized(Batches):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return (x[:, :6, :6] if index == 1 else x), y


@pytest.mark.compiles
@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="AT needs to know sizes, which a graph does not.")
@pytest.mark.parametrize("kept", ["memory", "directory"])
def test_batches_of_several_sizes(tmp_path, kept):
    def make(teacher, student):
        free = [keras.Sequential([keras.Input((None, None, 1)), *model.layers[1:]]) for model in (teacher, student)]
        return smskd.ATDistiller(*free, layers={"stage2": "stage2"})

    cache = True if kept == "memory" else tmp_path
    assert_same_run(trained(Resized(), None, make=make), trained(Resized(), None, make=make, cache=cache))


class Reshuffled(Batches):
    """Begins every epoch in another order."""

    def __init__(self):
        super().__init__()
        self.order = np.arange(3)

    def __getitem__(self, index):
        return super().__getitem__(int(self.order[index]))

    def on_epoch_begin(self):
        self.order = np.roll(self.order, 1)


@pytest.mark.compiles
def test_a_dataset_learns_of_its_epochs():
    arguments = {"epochs": 3, "shuffle": False}
    assert_same_run(trained(Reshuffled(), None, **arguments), trained(Reshuffled(), None, **arguments, cache=True))


@pytest.mark.compiles
def test_epochs_may_be_shorter_than_the_data():
    arguments = {"epochs": 3, "steps_per_epoch": 2, "shuffle": False}
    assert_same_run(trained(Batches(), None, **arguments), trained(Batches(), None, **arguments, cache=True))
    assert np.isfinite(trained(Again(), None, steps_per_epoch=2, epochs=4, cache=True)[1]).all()


@pytest.mark.compiles
def test_inputs_keep_their_precision_under_a_global_policy():
    def make(teacher, student):
        keras.config.set_dtype_policy("mixed_float16")
        return smskd.KDDistiller(teacher, student, label_weight=0.0)

    runs = []
    for cache in (None, True):
        try:
            runs.append(trained(1e3 * X, make=make, cache=cache))
        finally:
            keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(runs[0][1], runs[1][1], rtol=1e-4)


class InterruptedPassError(Exception):
    pass


class StopsAt(Batches):
    def __getitem__(self, index):
        if index == 2:
            raise InterruptedPassError
        return super().__getitem__(index)


@pytest.mark.compiles
@pytest.mark.parametrize("torn", [0, 5])
def test_an_interrupted_pass_goes_on(tmp_path, torn):
    with pytest.raises(InterruptedPassError):
        trained(StopsAt(), None, cache=tmp_path)
    if torn:  # As a kill in the middle of a write leaves it.
        (path,) = tmp_path.glob("*/*/1.bin")
        path.write_bytes(path.read_bytes()[:-torn])
    assert_same_run(trained(Batches(), None), trained(Batches(), None, cache=tmp_path))
    digests = sum(path.stat().st_size for path in tmp_path.glob("*/*/digests.bin"))
    assert digests == 16 * (SAMPLES + (torn > 0))


@pytest.mark.compiles
def test_a_full_disk_leaves_nothing_broken(tmp_path, monkeypatch):
    import pathlib

    def full(self, mode="r", **arguments):
        if self.name == "1.bin":
            raise OSError(28, "No space left on device")
        return opened(self, mode, **arguments)

    opened = pathlib.Path.open
    monkeypatch.setattr(pathlib.Path, "open", full)
    with pytest.raises(OSError, match="`cache` could not be written to .*: No space left on device. What it holds"):
        trained(cache=tmp_path)
    monkeypatch.undo()
    assert_same_run(online(), trained(cache=tmp_path, verbose=2))


def test_what_cannot_be_cached():
    with pytest.raises(TypeError, match="`cache` must be True, a directory or a `Cache`. Received: cache=3"):
        trained(cache=3)
    with pytest.raises(ValueError, match="`dtype` must be one of"):
        smskd.Cache(dtype="int8")
    with pytest.raises(ValueError, match="Received: a generator, which can be read only once"):
        trained(endless(), None, cache=True)
    teacher, student = models()
    stages = [smskd.KDDistiller(teacher, student), smskd.SSKDDistiller(teacher, student, layers={"pool": "pool"})]
    before = weights_of(student)
    with pytest.raises(ValueError, match="`cache` cannot hold what SSKD reads"):
        trained(make=lambda *pair: smskd.SequentialDistiller(stages), cache=True)
    assert_same_weights(student, before)


@pytest.mark.compiles
def test_it_says_what_it_took_and_saves(capsys):
    trained(make=three_stages, cache=True, verbose=2)
    text = capsys.readouterr().out
    assert f"Outputs of the teacher for {SAMPLES} samples computed in" in text
    assert text.count("Outputs of the teacher") == 1
    assert text.count(f"Outputs of the reference for {SAMPLES} samples") == 2
    assert "there before" not in text


@pytest.mark.compiles
def test_it_says_what_was_known(capsys, tmp_path):
    half = SAMPLES // 2
    trained(X[:half], Y[:half], make=three_stages, cache=tmp_path)
    trained(make=three_stages, cache=tmp_path, verbose=2)
    assert f"; {half} were there before." in capsys.readouterr().out
    trained(make=three_stages, cache=tmp_path, verbose=2)
    assert capsys.readouterr().out.count(f"Outputs of the teacher for all {SAMPLES} samples were there before") == 1


def test_the_teacher_stays_as_it_is():
    teacher = convolutional(6)
    before = weights_of(teacher)
    trained(teacher=teacher, cache=True)
    assert_same_weights(teacher, before)
    assert json.dumps([layer.trainable for layer in teacher.layers]).count("false") == 0
