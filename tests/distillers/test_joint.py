import keras
import numpy as np
import pytest

from keras_smskd import ATDistiller, FitNetDistiller, JointDistiller, KDDistiller, SPDistiller
from keras_smskd.distillers.kd import kd_loss
from keras_smskd.distillers.sp import sp_loss
from tests import expected
from tests.contract import DistillerContract
from tests.models import convolutional, dense, images, label_loss, vectors


class TestJointOfTwo(DistillerContract):
    """Logits serve both methods, so that one pair of arrays stands for the features of both."""

    shapes = ((4,), (4,))

    def make(self, teacher, student, **arguments):
        methods = [KDDistiller(teacher, student), SPDistiller(teacher, student, layers={"logits": "logits"})]
        return JointDistiller(methods, weights=[0.9, 30.0], **arguments)

    def loss(self, teacher, student, y):
        return 0.9 * kd_loss(teacher, student) + 30.0 * sp_loss(teacher, student)

    def expected(self, teacher, student, y):
        return 0.9 * expected.kd(teacher, student, 4.0) + 30.0 * expected.sp(teacher, student)


def test_default_weights_are_those_of_the_methods():
    teacher, student = convolutional(4), convolutional(3)
    methods = [KDDistiller(teacher, student), ATDistiller(teacher, student, layers={"stage1": "stage1"})]
    assert JointDistiller(methods).get_config()["weights"] == pytest.approx([0.9, 1000.0])
    assert JointDistiller(methods).method == "KD+AT"


def test_the_weight_of_a_method_may_be_changed_at_any_time():
    teacher, student = dense(8), dense(3)
    joint = JointDistiller([KDDistiller(teacher, student)], weights=[1.0], label_weight=0.0)
    joint.compile(keras.optimizers.SGD(0.0), label_loss())
    x, y = vectors(8)
    before = joint.fit(x, y, verbose=0).history["loss"]
    joint.distillers[0].distillation_weight = 3.0
    np.testing.assert_allclose(joint.fit(x, y, verbose=0).history["loss"], np.multiply(before, 3.0), rtol=1e-5)
    assert joint.get_config()["weights"] == [3.0]


class TwoViews(KDDistiller):
    views = 2


class TwoOtherViews(KDDistiller):
    views = 2

    def augment(self, x):
        return x


def test_one_way_to_make_views():
    teacher, student = dense(8), dense(3)
    with pytest.raises(ValueError, match="share one way to make views. Received: TwoViews with 2 views, TwoOther"):
        JointDistiller([TwoViews(teacher, student), TwoOtherViews(teacher, student)])
    assert JointDistiller([KDDistiller(teacher, student), TwoViews(teacher, student)]).views == 2


def test_projectors_inside_are_trained():
    teacher, student = dense(8), dense(3)
    joint = JointDistiller([FitNetDistiller(teacher, student, layers={"hidden": "hidden"})])
    assert len(joint.trainable_variables) == len(student.trainable_variables) + 2


def test_one_teacher_layer_may_guide_two_student_layers():
    teacher, student = convolutional(4), convolutional(3)
    joint = JointDistiller(
        [
            SPDistiller(teacher, student, layers={"stage2": "stage1"}),
            SPDistiller(teacher, student, layers={"stage2": "stage2"}),
        ]
    )
    joint.compile("sgd", label_loss())
    assert np.isfinite(joint.fit(*images(8), verbose=0).history["loss"]).all()
    assert joint.matched_layers == (("stage2", "stage1"), ("stage2", "stage2"))


def test_methods_must_share_teacher_and_student():
    teacher, student = dense(8, "teacher"), dense(3, "student")
    with pytest.raises(ValueError, match="`distillers` must share one student"):
        JointDistiller([KDDistiller(teacher, student), KDDistiller(teacher, dense(3, "other"))])
    first, second, third = (dense(8) for _ in range(3))
    with pytest.raises(ValueError, match="`distillers` must share one teacher, or the same teachers in one order"):
        JointDistiller([KDDistiller(teachers=pair, student=student) for pair in ([first, second], [first, third])])
    with pytest.raises(ValueError, match="`distillers` must be a list of one distiller or more"):
        JointDistiller([])
    with pytest.raises(ValueError, match="`weights` must hold one number for each of the 1 distillers"):
        JointDistiller([KDDistiller(teacher, student)], weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="`weights` must be a finite number of at least 0"):
        JointDistiller([KDDistiller(teacher, student)], weights=[-1.0])
