import numpy as np
from keras import ops

from keras_smskd.distillers.at import ATDistiller, at_loss
from tests import expected
from tests.contract import DistillerContract


class TestAT(DistillerContract):
    shapes = ((4, 4, 7), (4, 4, 3))
    layer = "stage2"
    arguments = {"power": 2, "squared": True}

    def make(self, teacher, student, **arguments):
        return ATDistiller(teacher, student, layers={"stage2": "stage2"}, **self.arguments, **arguments)

    def loss(self, teacher, student, y):
        return at_loss(teacher, student, **self.arguments)

    def expected(self, teacher, student, y):
        return expected.at(teacher, student, **self.arguments)


class TestATOfThePaper(TestAT):
    arguments = {"power": 2, "squared": False}

    def test_nothing_to_learn_from_an_equal(self):
        """The length of the difference has a kink at equality, and so no gradient to compare there."""
        teacher, _, y = self.features()
        loss = self.loss(*map(ops.convert_to_tensor, (teacher, teacher, y)))
        np.testing.assert_allclose(ops.convert_to_numpy(loss), 0.0, atol=1e-6)
