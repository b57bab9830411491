import keras
import numpy as np
import pytest
from keras import ops

import keras_smskd as smskd
from keras_smskd.distillers.crd import CRDDistiller, crd_loss, normalizer_of, remembered, scores_against
from keras_smskd.ops import normalize
from tests import expected
from tests.contract import DistillerContract
from tests.models import UNTRACED, dense, label_loss, vectors

SAMPLES, TEMPERATURE, NORMALIZERS = 9, 0.2, (30.0, 25.0)


def memories():
    """Rows of length 1 for teacher and student."""
    rows = np.random.default_rng(3).normal(size=(2, SAMPLES, 3))
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype("float32")


def kernel(size):
    return np.random.default_rng(size).normal(size=(size, 3)).astype("float32")


class TestCRD(DistillerContract):
    shapes = ((7,), (5,))
    layer = "pool"
    candidates = np.array([4, 0, 2, 7, 7])

    def make(self, teacher, student, **arguments):
        return CRDDistiller(teacher, student, layers={"pool": "pool"}, samples=32, negatives=6, size=5, **arguments)

    def loss(self, teacher, student, y):
        candidates = np.tile(self.candidates, (student.shape[0], 1))
        teacher, student = (normalize(ops.matmul(x, kernel(x.shape[-1]))) for x in (teacher, student))
        of_teacher, of_student = memories()
        scores = [
            scores_against(memory, embeddings, candidates, TEMPERATURE)
            for memory, embeddings in ((of_student, teacher), (of_teacher, student))
        ]
        return crd_loss(*scores, *map(ops.convert_to_tensor, NORMALIZERS), SAMPLES)

    def expected(self, teacher, student, y):
        candidates = np.tile(self.candidates, (len(student), 1))
        embeddings = [x @ kernel(x.shape[-1]).astype(float) for x in (teacher, student)]
        unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in embeddings]
        return expected.crd(*unit, memories().astype(float), candidates, NORMALIZERS, TEMPERATURE)

    def test_nothing_to_learn_from_an_equal(self):
        """The contrast is with memories, not with the teacher of the same batch: equal features have a loss."""

    def check_first_step(self, distiller, train, x, y, weights):
        """With the negatives that the step will draw; they and the memories differ from step to step."""
        embeddings, before = distiller.embeddings[0], [state(e) for e in distiller.embeddings[0]]
        seed = distiller.seed_generator.state
        drawn = ops.copy(seed)
        candidates = ops.convert_to_numpy(distiller.candidates(ops.arange(8)))
        seed.assign(drawn)
        unit = [
            ops.convert_to_numpy(embed(pooled(model, x, training)))
            for embed, model, training in zip(embeddings, (distiller.teacher, distiller.student), (False, True))
        ]
        logs = train()
        (teacher_memory, unset), (student_memory, _) = before
        assert unset == -1.0
        normalizers = [float(embedding.normalizer.numpy()) for embedding in embeddings]
        distillation = expected.crd(*unit, (teacher_memory, student_memory), candidates, normalizers, 0.07)
        np.testing.assert_allclose(logs["distillation_loss"], np.mean(weights * distillation), rtol=1e-3)
        for rows, memory, normalizer in zip(unit, (student_memory, teacher_memory), normalizers, strict=True):
            scores = [[memory[k] @ row / 0.07 for k in own] for row, own in zip(rows, candidates, strict=True)]
            np.testing.assert_allclose(normalizer, 32 * np.exp(scores).mean(), rtol=1e-3)

    def test_what_is_saved_is_the_student(self, tmp_path):
        distiller = self.distiller()
        distiller.save(tmp_path / "student.keras")
        loaded = keras.saving.load_model(tmp_path / "student.keras")
        assert loaded.count_params() == distiller.student.count_params()


def pooled(model, x, training):
    return keras.Model(model.input, model.get_layer("pool").output)(x, training=training)


def state(embedding):
    return np.array(ops.convert_to_numpy(embedding.memory)), float(embedding.normalizer.numpy())


def distiller(samples=32, **arguments):
    keras.utils.set_random_seed(0)
    made = CRDDistiller(
        dense(8), dense(3), layers={"hidden": "hidden"}, samples=samples, **{"negatives": 4, **arguments}
    )
    made.compile("sgd", label_loss())
    return made


def test_memories_hold_the_samples_seen_and_the_normalisers_are_set_once():
    x, y = vectors(8)
    made = distiller(samples=12, momentum=0.0)
    before = [state(embedding) for embedding in made.embeddings[0]]
    made.fit(x, y, batch_size=4, verbose=0)
    after = [state(embedding) for embedding in made.embeddings[0]]
    made.fit(x, y, batch_size=4, verbose=0)
    for embedding, (first, unset), (second, normalizer) in zip(made.embeddings[0], before, after, strict=True):
        assert unset == -1.0
        assert normalizer > 0.0
        np.testing.assert_array_equal(first[8:], second[8:])
        np.testing.assert_allclose(np.linalg.norm(second[:8], axis=-1), 1.0, rtol=1e-5)
        assert state(embedding)[1] == normalizer


def test_both_embeddings_are_trained_and_no_part_of_the_student():
    x, y = vectors(8)
    made = distiller()
    before = [np.array(ops.convert_to_numpy(embedding.dense.kernel)) for embedding in made.embeddings[0]]
    made.fit(x, y, verbose=0)
    for embedding, kernel_before in zip(made.embeddings[0], before, strict=True):
        assert (ops.convert_to_numpy(embedding.dense.kernel) != kernel_before).all(axis=0).any()
    assert len(made.student.weights) == 4


def test_a_row_moves_by_the_momentum():
    memory = ops.convert_to_tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    rows = ops.convert_to_tensor([[0.0, 1.0], [0.0, 1.0]])
    after = ops.convert_to_numpy(remembered(memory, rows, ops.convert_to_tensor([2, 1]), 0.25))
    np.testing.assert_allclose(after, [[1, 0], [0, 1], np.array([0.25, 0.75]) / np.hypot(0.25, 0.75)], rtol=1e-6)


def test_a_known_normalizer_stays():
    scores = np.log(np.full((2, 3), 2.0, "float32"))
    assert float(normalizer_of(scores, 10, ops.convert_to_tensor(-1.0))) == pytest.approx(20.0)
    assert float(normalizer_of(scores, 10, ops.convert_to_tensor(7.0))) == 7.0


def test_a_sample_is_no_negative_of_itself():
    candidates = ops.convert_to_numpy(distiller(samples=5, negatives=200).candidates(ops.arange(5)))
    np.testing.assert_array_equal(candidates[:, 0], range(5))
    for index, negatives in enumerate(candidates[:, 1:]):
        assert set(negatives) == set(range(5)) - {index}


@pytest.mark.compiles
@pytest.mark.parametrize("given", ["arrays", "batches"])
def test_other_stages_take_data_with_an_index(given):
    x, y = vectors(8)
    data = {"inputs": x, "index": np.arange(8)}, y
    teacher, student = dense(8), dense(3)
    crd = smskd.CRDDistiller(teacher, student, layers={"hidden": "hidden"}, samples=8, negatives=4, size=4)
    sequence = smskd.SequentialDistiller([crd, smskd.KDDistiller(teacher, student)])
    sequence.compile("sgd", label_loss(), **UNTRACED)
    for cache in (None, True):
        arguments = {"x": data[0], "y": y} if given == "arrays" else {"x": Batch(data)}
        history = sequence.fit(**arguments, cache=cache, validation_data=data, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        assert len(history["val_loss"]) == 2


class Batch(keras.utils.PyDataset):
    """A source of one batch."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def test_a_joint_distiller_checks_the_samples_too():
    x, y = vectors(8)
    crd = distiller(samples=7)
    joint = smskd.JointDistiller([crd, smskd.KDDistiller(crd.teacher, crd.student)])
    joint.compile("sgd", label_loss())
    with pytest.raises(ValueError, match="`samples` must be at least the number of training samples.*samples=7 and 8"):
        joint.fit(x, y, verbose=0)


def test_more_samples_than_rows_do_not_train_silently():
    x, y = vectors(8)
    with pytest.raises(ValueError, match="`samples` must be at least the number of training samples.*samples=7 and 8"):
        distiller(samples=7).fit(x, y, verbose=0)
    logs = distiller(samples=7).train_on_batch({"inputs": x, "index": np.arange(8)}, y, return_dict=True)
    assert np.isnan(logs["loss"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 1}, "`samples` must be a whole number of at least 2"),
        ({"negatives": 0}, "`negatives` must be a whole number of at least 1"),
        ({"size": 2.0}, "`size` must be a whole number"),
        ({"temperature": 0}, "`temperature` must be a finite number above 0"),
        ({"momentum": 1.5}, "`momentum` must be a number from 0 to 1"),
    ],
)
def test_numbers_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        distiller(**arguments)
