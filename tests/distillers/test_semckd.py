import keras
import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.semckd import SemCKDDistiller, attention_of, semckd_loss, similarities
from keras_smskd.ops import match_sizes
from tests import expected
from tests.contract import DistillerContract
from tests.models import convolutional, images, label_loss


class TestSemCKD(DistillerContract):
    """One layer of each model: all attention is on that pair."""

    shapes = ((4, 4, 3), (4, 4, 3))
    layer = "stage2"

    def make(self, teacher, student, **arguments):
        return SemCKDDistiller(teacher, student, layers={"stage2": "stage2"}, batch_size=16, **arguments)

    def loss(self, teacher, student, y):
        return semckd_loss([[teacher]], [[student]], ops.ones((teacher.shape[0], 1, 1)))

    def expected(self, teacher, student, y):
        return expected.semckd([[teacher]], [[student]], np.ones((len(teacher), 1, 1)))

    def projected(self, distiller, feature):
        return ops.convert_to_numpy(distiller.projectors[0][0](feature, training=True))


def made(layers, **arguments):
    keras.utils.set_random_seed(0)
    distiller = SemCKDDistiller(convolutional(4), convolutional(3), layers=layers, **{"batch_size": 8, **arguments})
    distiller.compile(keras.optimizers.SGD(0.0), label_loss())
    return distiller


def embedded(embedder, maps, batch_size):
    """Embeddings of length 1 in NumPy: of a batch smaller than `batch_size` with the first rows of the kernel."""
    flat = maps.reshape(len(maps), -1)
    (kernel, bias), (kernel_after, bias_after) = (
        [ops.convert_to_numpy(weight) for weight in dense.weights] for dense in embedder.layers
    )
    rows = []
    for sample in flat:
        products = np.array([sample @ other for other in flat])
        hidden = np.maximum(products @ kernel[: len(flat)] + bias, 0.0)
        row = hidden @ kernel_after + bias_after
        rows.append(row / np.linalg.norm(row))
    assert len(kernel) == batch_size
    return np.array(rows)


@pytest.mark.parametrize("samples", [pytest.param(8, marks=pytest.mark.compiles), 5])
def test_all_layers_are_crossed_in_full_and_smaller_batches(samples):
    x, y = images(samples)
    layers = {"stage1": "stage1", "stage2": "stage2"}
    distiller = made(layers, factor=2, temperature=0.5)
    teacher_maps, student_maps = (
        [
            ops.convert_to_numpy(output)
            for output in keras.Model(model.input, [model.get_layer(path).output for path in layers])(
                x, training=training
            )
        ]
        for model, training in ((distiller.teacher, False), (distiller.student, True))
    )
    queries = [embedded(embed, maps, 8) for embed, maps in zip(distiller.queries, student_maps, strict=True)]
    keys = [embedded(embed, maps, 8) for embed, maps in zip(distiller.keys, teacher_maps, strict=True)]
    grid = [[match_sizes(hint, maps) for hint in teacher_maps] for maps in student_maps]
    hints = [[ops.convert_to_numpy(hint) for hint, _ in row] for row in grid]
    projected = [
        [ops.convert_to_numpy(project(maps, training=True)) for project, (_, maps) in zip(*rows, strict=True)]
        for rows in zip(distiller.projectors, grid, strict=True)
    ]
    attention = expected.semckd_attention(queries, keys, 0.5)
    logs = distiller.fit(x, y, batch_size=8, shuffle=False, verbose=0).history
    np.testing.assert_allclose(
        logs["distillation_loss"], expected.semckd(hints, projected, attention).mean(), rtol=1e-3
    )


@pytest.mark.compiles
def test_one_student_layer_learns_from_several_teacher_layers():
    distiller = made({"stage1": "stage2", "stage2": "stage2"})
    assert (len(distiller.keys), len(distiller.queries)) == (2, 1)
    x, y = images(12)
    assert np.isfinite(distiller.fit(x, y, batch_size=8, verbose=0).history["loss"]).all()


def test_a_larger_batch_is_refused():
    x, y = images(8)
    message = "`batch_size` of `fit` must be at most 4 for SemCKD.*Received: batches of 8"
    distiller = made({"stage1": "stage1"}, batch_size=4)
    for fit in (lambda: distiller.fit(x, y, batch_size=8, verbose=0), lambda: distiller.train_on_batch(x, y)):
        with pytest.raises(ValueError, match=message):
            fit()
    message = "`batch_size` must be at least the number of samples in a batch. Received: batch_size=4 and a batch of 8"
    with pytest.raises(Exception, match=f"{message}|[Pp]adding"):
        distiller.fit(((x, y) for _ in range(3)), steps_per_epoch=1, verbose=0)


def test_missing_samples_are_zeros():
    features = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(similarities(features, 4)), [[5.0, 11.0, 0.0, 0.0], [11.0, 25.0, 0.0, 0.0]]
    )


def test_attention_of_a_sample_sums_to_one():
    queries, keys = np.random.default_rng(0).normal(size=(2, 3, 2, 5)).astype("float32")
    attention = ops.convert_to_numpy(attention_of(*map(ops.convert_to_tensor, (queries, keys)), 0.5))
    np.testing.assert_allclose(attention.sum(axis=-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a whole number of at least 1"),
        ({"factor": 0.5}, "`factor` must be a whole number of at least 1"),
        ({"temperature": 0}, "`temperature` must be a finite number above 0"),
    ],
)
def test_numbers_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        made({"stage1": "stage1"}, **arguments)
