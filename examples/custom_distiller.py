"""A method of your own in one file: the student's features are to point where the teacher's point."""

import keras
import numpy as np
from keras import ops

import keras_smskd as smskd
from keras_smskd.ops import normalize  # That of Keras has no gradient at zero, but NaN.


def direction_loss(teacher, student):
    """One minus the cosine of the angle between two features, `(batch,)`."""
    return 1 - ops.sum(normalize(teacher) * normalize(student), axis=-1)


class DirectionDistiller(smskd.ProjectedDistiller):
    """Compares features of any width: a projector, trained with the student, brings the student's to the teacher's."""

    def distillation_loss(self, teacher, student, y):
        return sum(direction_loss(*pair) for pair in self.projected(teacher, student))


def model(width):
    """Builds a classifier with a layer `features`."""
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(width, activation="relu", name="features"), keras.layers.Dense(3)]
    )


if __name__ == "__main__":
    teacher, student = model(32), model(4)
    stages = [
        smskd.Stage(DirectionDistiller(teacher, student, layers={"features": "features"}), epochs=2),
        smskd.Stage(smskd.KDDistiller(teacher, student), epochs=2),
    ]
    distiller = smskd.SequentialDistiller(stages)
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    distiller.fit(np.random.normal(size=(256, 6)), np.random.randint(0, 3, 256))
