import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.cc import CCDistiller, cc_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import dense, label_loss, vectors, weights_of

KERNEL_CASES = [
    {"kernel": kernel, "gamma": gamma, "order": order, "squared": squared}
    for kernel, gamma, order in [("bilinear", 0.4, 2), ("gaussian", 0.4, 2), ("gaussian", 1.5, 5)]
    for squared in (True, False)
]


def features(batch_size=5):
    teacher, student = np.random.default_rng(0).normal(size=(2, batch_size, 4)).astype("float32")
    return teacher, student


def loss_of(teacher, student, **arguments):
    return ops.convert_to_numpy(cc_loss(*map(ops.convert_to_tensor, (teacher, student)), **arguments))


class TestCC(DistillerContract):
    shapes = ((4,), (4,))
    layer = "pool"

    def make(self, teacher, student, **arguments):
        return CCDistiller(teacher, student, layers={"pool": "pool"}, embedding_size=6, **arguments)

    def loss(self, teacher, student, y):
        return cc_loss(teacher, student)

    def expected(self, teacher, student, y):
        return expected.cc(teacher, student)

    def expected_terms(self, distiller, x, y):
        features, logits = [], []
        for model, training in ((distiller.teacher, False), (distiller.student, True)):
            pool_and_logits = keras.Model(model.input, [model.get_layer("pool").output, model.output])
            for outputs, output in zip((features, logits), pool_and_logits(x, training=training)):
                outputs.append(output)
        embedded = distiller.teacher_embeddings[0](features[0]), distiller.student_embeddings[0](features[1])
        terms = expected.cc(*map(ops.convert_to_numpy, embedded))
        return expected.cross_entropy(ops.convert_to_numpy(logits[1]), y), terms

    def test_order_of_the_batch_does_not_matter(self):
        """It does, as in the reference implementation: neighbours are compared."""
        teacher, student = features()
        order = [3, 0, 4, 1, 2]
        assert abs(loss_of(teacher, student).mean() - loss_of(teacher[order], student[order]).mean()) > 1e-3


@pytest.mark.parametrize("arguments", KERNEL_CASES)
def test_kernels(arguments):
    teacher, student = features()
    of_paper = expected.cc_kernel(teacher.astype(float), student.astype(float), **arguments)
    np.testing.assert_allclose(loss_of(teacher, student, **arguments), of_paper, rtol=1e-4)
    np.testing.assert_array_equal(loss_of(teacher, teacher, **arguments), 0.0)
    assert np.isfinite(loss_of(teacher[:1], student[:1], **arguments)).all()


def test_the_taylor_series_nears_the_gaussian_of_unit_vectors():
    teacher, student = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in features())
    squared_distances = (np.square(x[:, None] - x[None]).sum(axis=-1) for x in (teacher, student))
    of_teacher, of_student = (np.exp(-0.4 * squares) for squares in squared_distances)
    near = loss_of(teacher, student, kernel="gaussian", gamma=0.4, order=8)
    np.testing.assert_allclose(near, np.square(of_student - of_teacher).mean(axis=1), rtol=1e-3)


@pytest.mark.compiles
@pytest.mark.parametrize("kernel", [None, "bilinear", "gaussian"])
def test_both_embeddings_learn(kernel):
    distiller = CCDistiller(dense(8), dense(3), layers={"hidden": "hidden"}, kernel=kernel, distillation_weight=1.0)
    embeddings = [*distiller.teacher_embeddings, *distiller.student_embeddings]
    before = [weights_of(embedding)[0] for embedding in embeddings]
    distiller.compile("sgd", label_loss())
    distiller.fit(*vectors(8), verbose=0)
    assert all((weights_of(embedding)[0] != kernel).any() for embedding, kernel in zip(embeddings, before))
    assert len(distiller.student.weights) == 4


def test_embeddings_have_unit_length_for_a_kernel():
    distiller = CCDistiller(dense(8), dense(3), layers={"hidden": "hidden"}, kernel="gaussian")
    teacher, student = ({"hidden": ops.ones((2, width))} for width in (8, 3))
    for embedded in distiller.embedded(teacher, student)[0]:
        assert embedded.shape == (2, 128)
        np.testing.assert_allclose(np.linalg.norm(ops.convert_to_numpy(embedded), axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("kernel", "laplace", r"`kernel` must be one of \['bilinear', 'gaussian'\]"),
        ("gamma", 0.0, "`gamma` must be a finite number above 0"),
        ("order", 0, "`order` must be a whole number of at least 1"),
        ("embedding_size", 2.5, "`embedding_size` must be a whole number"),
    ],
)
def test_arguments_out_of_range(argument, value, message):
    with pytest.raises(ValueError, match=message):
        CCDistiller(dense(8), dense(3), layers={"hidden": "hidden"}, **{argument: value})
