"""What a step costs here and in other packages, on the same models, data and batches.

    KERAS_BACKEND=tensorflow python -m benchmarks.peers

`keras.distillation` computes its KD loss from `keras.losses.KLDivergence()`: with its default, the name, it trains on
raw logits. Its feature loss takes features of one shape only, as they have in these two. torchdistill takes part on
PyTorch where it is installed, relative to the student alone in a loop of PyTorch. All train a ResNet-8 from a
ResNet-20; the ideal steps are those of `benchmarks.ideal`. Writes benchmarks/peers.json.
"""

import argparse
import functools
import importlib.util
from collections.abc import Callable

import keras
import numpy as np

import keras_smskd as smskd
from benchmarks.ideal import Ideal
from benchmarks.training import BATCH_SIZE, epoch_of, noise
from benchmarks.turns import milliseconds, ratio, save, show, take_turns
from benchmarks.zoo.resnet import residual

TEMPERATURE = 4.0

Run = Callable[[], object]


def here(x: np.ndarray, y: np.ndarray) -> dict[str, Run]:
    """The student alone, the ideal steps and this package."""
    feature = {"layers": {"stage2": "stage2"}, "projector": None}
    joint = [smskd.KDDistiller, functools.partial(smskd.FitNetDistiller, **feature)]
    runs = {
        "student alone": epoch_of(residual(1), x, y),
        "KD: ideal": epoch_of(Ideal(smskd.KDDistiller(residual(3), residual(1))), x, y),
        "KD: keras_smskd": epoch_of(smskd.KDDistiller(residual(3), residual(1)), x, y),
    }
    for name, wrap in (("KD and a feature: ideal", Ideal), ("KD and a feature: keras_smskd", lambda model: model)):
        teacher, student = residual(3), residual(1)
        runs[name] = epoch_of(wrap(smskd.JointDistiller([make(teacher, student) for make in joint])), x, y)
    return runs


def of_keras(x: np.ndarray, y: np.ndarray) -> dict[str, Run]:
    """`keras.distillation`, with and without a feature."""
    if not hasattr(keras, "distillation"):
        return {}
    divergence = functools.partial(
        keras.distillation.LogitsDistillation, temperature=TEMPERATURE, loss=keras.losses.KLDivergence()
    )
    feature = functools.partial(
        keras.distillation.FeatureDistillation,
        loss="mse",
        teacher_layer_name="stage2",
        student_layer_name="stage2",
    )
    runs = {}
    for name, losses in (("KD", [divergence]), ("KD and a feature", [divergence, feature])):
        distiller = keras.distillation.Distiller(
            teacher=residual(3), student=residual(1), distillation_losses=[make() for make in losses]
        )
        runs[f"{name}: keras.distillation"] = epoch_of(distiller, x, y)
    return runs


def of_torchdistill(x: np.ndarray, y: np.ndarray) -> dict[str, Run]:
    """torchdistill, and the student alone in its loop."""
    if keras.backend.backend() != "torch" or importlib.util.find_spec("torchdistill") is None:
        return {}
    from benchmarks import torchdistill_loop  # noqa: PLC0415

    return {
        "student alone in PyTorch": torchdistill_loop.epoch_of((x, y), BATCH_SIZE, None),
        "KD: torchdistill": torchdistill_loop.epoch_of((x, y), BATCH_SIZE, TEMPERATURE),
        "KD and a feature: torchdistill": torchdistill_loop.epoch_of((x, y), BATCH_SIZE, TEMPERATURE, feature=True),
    }


def main() -> None:
    """Measures all in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--samples", type=int, default=256)
    options = parser.parse_args()
    x, y = noise(options.samples)
    seconds = take_turns({**here(x, y), **of_keras(x, y), **of_torchdistill(x, y)}, options.rounds)
    rows = {}
    for name in seconds:
        alone = "student alone in PyTorch" if "torchdistill" in name else "student alone"
        rows[name] = {f"of student alone, {key}": value for key, value in ratio(seconds, name, alone).items()}
        if ideal := next((other for other in seconds if other == f"{name.split(':')[0]}: ideal"), None):
            rows[name] |= {f"of ideal, {key}": value for key, value in ratio(seconds, name, ideal).items()}
        rows[name]["milliseconds"] = milliseconds(seconds, name, options.samples // BATCH_SIZE)
    save(__file__, rows)
    show("Cost of a step", rows)


if __name__ == "__main__":
    main()
