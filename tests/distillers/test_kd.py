from keras_smskd.distillers.kd import KDDistiller, kd_loss
from tests import expected
from tests.contract import DistillerContract


class TestKD(DistillerContract):
    shapes = ((4,), (4,))

    def make(self, teacher, student, **arguments):
        return KDDistiller(teacher, student, temperature=3.0, **arguments)

    def loss(self, teacher, student, y):
        return kd_loss(teacher, student, temperature=3.0)

    def expected(self, teacher, student, y):
        return expected.kd(teacher, student, temperature=3.0)
