"""Models of the CIFAR-100 distillation benchmarks RepDistiller and mdistiller; all end in logits.

Every model has layers `stage1`, `stage2`, ... (what the last block of each resolution puts out), `pool` (the pooled
features in front of the classifier) and `head` (the classifier).
"""

import difflib
from collections.abc import Callable
from functools import partial

import keras

from benchmarks.zoo.mobilenet import mobilenet_v2
from benchmarks.zoo.resnet import WIDTHS, residual
from benchmarks.zoo.shufflenet import shufflenet_v1, shufflenet_v2
from benchmarks.zoo.vgg import vgg
from benchmarks.zoo.wide_resnet import wide_residual
from keras_smskd.checks import check_count

WIDTHS_X4 = (32, 64, 128, 256)

MODELS: dict[str, Callable[..., keras.Model]] = {
    "resnet8": partial(residual, 1, WIDTHS),
    "resnet14": partial(residual, 2, WIDTHS),
    "resnet20": partial(residual, 3, WIDTHS),
    "resnet32": partial(residual, 5, WIDTHS),
    "resnet44": partial(residual, 7, WIDTHS),
    "resnet56": partial(residual, 9, WIDTHS),
    "resnet110": partial(residual, 18, WIDTHS),
    "resnet8x4": partial(residual, 1, WIDTHS_X4),
    "resnet32x4": partial(residual, 5, WIDTHS_X4),
    "wrn_16_1": partial(wide_residual, 2, 1),
    "wrn_16_2": partial(wide_residual, 2, 2),
    "wrn_40_1": partial(wide_residual, 6, 1),
    "wrn_40_2": partial(wide_residual, 6, 2),
    "vgg8": partial(vgg, 1),
    "vgg13": partial(vgg, 2),
    "mobilenet_v2": mobilenet_v2,
    "shufflenet_v1": shufflenet_v1,
    "shufflenet_v2": shufflenet_v2,
}


def build(name: str, image_size: int = 32, classes: int = 100) -> keras.Model:
    """Builds a model of the zoo for images of `image_size` x `image_size` pixels."""
    if name not in MODELS:
        nearest = difflib.get_close_matches(str(name), MODELS, n=5, cutoff=0.3) or list(MODELS)
        raise ValueError(
            f"`name` must be a model of the zoo. The nearest names are: {', '.join(map(repr, nearest))}. "
            f"Received: name={name!r}"
        )
    return MODELS[name](check_count("image_size", image_size, 8), check_count("classes", classes))
