import numpy as np
import pytest
from keras import ops

from keras_smskd.distillers.wsld import WSLDDistiller, wsld_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import CLASSES, dense


class TestWSLD(DistillerContract):
    shapes = ((4,), (4,))
    scales = (0.1, 1, 3)  # Of larger logits the probabilities are 1 to float32, which leaves label losses no digits.
    descends = False  # The weights, constants to the gradient, may grow by more than what they weigh falls.

    def make(self, teacher, student, **arguments):
        return WSLDDistiller(teacher, student, temperature=3.0, **arguments)

    def loss(self, teacher, student, y):
        return wsld_loss(teacher, student, y, temperature=3.0)

    def expected(self, teacher, student, y):
        return expected.wsld(teacher, student, y, temperature=3.0)

    def gradient_with_constant_weights(self, teacher, student, y):
        p, q = (np.array([expected.softmax(z / 3.0) for z in logits.astype(float)]) for logits in (teacher, student))
        return 3.0 * expected.wsld_weights(teacher, student, y)[:, None] * (q - p) / len(y)

    def test_gradients_are_those_of_the_paper(self):
        """The weights are constants to the gradient, which a difference of losses would not show."""
        given = self.features()
        np.testing.assert_allclose(self.gradient(*given), self.gradient_with_constant_weights(*given), atol=1e-6)

    def test_nothing_to_learn_from_an_equal(self):
        """A cross-entropy is not 0 at equality, but has no gradient there."""
        _, student, y = self.features()
        np.testing.assert_allclose(self.gradient(student, student, y), 0.0, atol=1e-6)

    def test_one_hot_labels(self):
        teacher, student, y = self.features()
        sparse = self.loss(*map(ops.convert_to_tensor, (teacher, student, y)))
        one_hot = self.loss(*map(ops.convert_to_tensor, (teacher, student, np.eye(CLASSES)[y])))
        np.testing.assert_allclose(ops.convert_to_numpy(one_hot), ops.convert_to_numpy(sparse), rtol=1e-6)

    def test_a_student_that_knows_better_learns_nothing(self):
        teacher, student = (np.array([[sure, 0.0, 0.0]], "float32") for sure in (-20.0, 20.0))
        loss = self.loss(*map(ops.convert_to_tensor, (teacher, student, np.zeros(1, int))))
        np.testing.assert_allclose(ops.convert_to_numpy(loss), 0.0, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 20.0])
@pytest.mark.parametrize("classes", [2, 100])
def test_any_classes_and_temperature(classes, temperature):
    generator = np.random.default_rng(0)
    teacher, student = generator.normal(size=(2, 6, classes)).astype("float32")
    y = generator.integers(0, classes, 6)
    loss = wsld_loss(*map(ops.convert_to_tensor, (teacher, student, y)), temperature)
    exact = expected.wsld(teacher.astype(float), student.astype(float), y, temperature)
    np.testing.assert_allclose(ops.convert_to_numpy(loss), exact, rtol=1e-4)


def test_wrong_temperature():
    with pytest.raises(ValueError, match="`temperature` must be a finite number above 0"):
        WSLDDistiller(dense(5), dense(3), temperature=-1)
