"""The models and data that all tables share: nothing trains, so nothing needs to be made anew."""

import keras

import keras_smskd as smskd
from tests.models import convolutional, dense, images, label_loss, vectors

KD = smskd.KDDistiller

TEACHER, STUDENT = dense(8, "teacher"), dense(3, "student")
TEACHER_OF_IMAGES, STUDENT_OF_IMAGES = convolutional(6, "teacher"), convolutional(3, "student")
WATCHED = (TEACHER, STUDENT, TEACHER_OF_IMAGES, STUDENT_OF_IMAGES)
X, Y = vectors(8)
IMAGES, LABELS = images(8)


def kd(**arguments):
    return KD(TEACHER, STUDENT, **arguments)


def fitnet(layers, **arguments):
    return smskd.FitNetDistiller(TEACHER, STUDENT, layers=layers, **arguments)


def relational(**arguments):
    return smskd.RKDDistiller(TEACHER, STUDENT, layers={"hidden": "hidden"}, **arguments)


def of_maps(method, layers=None, **arguments):
    """A method that reads feature maps."""
    return method(TEACHER_OF_IMAGES, STUDENT_OF_IMAGES, layers=layers or {"stage2": "stage2"}, **arguments)


def sequence(*stages, **arguments):
    return smskd.SequentialDistiller(list(stages) or [kd(), kd()], **arguments)


def compiled(distiller, loss=None):
    distiller.compile("sgd", loss or label_loss())
    return distiller


def fit(distiller, x=X, y=Y, **arguments):
    return compiled(distiller).fit(x, y, verbose=0, **arguments)


class Batches(keras.utils.PyDataset):
    """A source that cannot be checked as a whole."""

    def __init__(self, x=X, y=Y, batch_size=8):
        super().__init__()
        self.arrays = [array for array in (x, y) if array is not None]
        self.batch_size = batch_size

    def __len__(self):
        return len(self.arrays[0]) // self.batch_size

    def __getitem__(self, index):
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return tuple(array[rows] for array in self.arrays)
