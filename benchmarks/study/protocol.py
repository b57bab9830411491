"""Protocols: what is the same for all runs of a study."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Models, data and training of a study.

    Attributes:
        teacher: Name of the teacher in the zoo.
        student: Name of the student in the zoo.
        image_size: Width and height of the images; the mean of 2x2 pixels stands for them at 16.
        images: Number of images that the student learns from.
        teacher_images: Number of images that the teacher learns from; the student's are among them.
        validation_images: Number of other training images, which choices are made by.
        epochs: Epochs of the student, all stages together.
        teacher_epochs: Epochs of the teacher.
        views: Number of fixed augmented views of an image that epochs take in turns, with the teacher's outputs for
            them in a cache; None for new views in every epoch, which the teacher sees online.
        rate: Learning rate at the beginning.
        decay: `"cosine"`, to 0, or `"steps"`, to a tenth after 5/8, 3/4 and 7/8 of the epochs.
        batch_size: Samples per step.
        momentum: Momentum of the optimizer.
        l2: Weight decay as the field gives it: a factor of the weight in the gradient.
    """

    teacher: str
    student: str
    image_size: int
    images: int
    teacher_images: int
    validation_images: int
    epochs: int
    teacher_epochs: int
    views: int | None
    rate: float
    decay: str
    batch_size: int = 64
    momentum: float = 0.9
    l2: float = 5e-4

    @property
    def weight_decay(self) -> float:
        """Keras takes it from the weight at once, the field through the momentum, which multiplies it."""
        return self.l2 / (1 - self.momentum)


FIELD = Protocol(
    teacher="resnet56",
    student="resnet20",
    image_size=32,
    images=45_000,
    teacher_images=45_000,
    validation_images=5_000,
    epochs=240,
    teacher_epochs=240,
    views=None,
    rate=0.05,
    decay="steps",
)

DESK = Protocol(
    teacher="wrn_16_2",
    student="resnet8",
    image_size=16,
    images=10_000,
    teacher_images=20_000,
    validation_images=2_500,
    epochs=12,
    teacher_epochs=12,
    views=4,
    rate=0.05,
    decay="cosine",
)

SHORT = dataclasses.replace(FIELD, epochs=24, teacher_epochs=24, batch_size=128, rate=0.1)
"""The field's models and images, for as many epochs as some minutes of a GPU can pay for."""

PROTOCOLS = {"field": FIELD, "short": SHORT, "desk": DESK}
