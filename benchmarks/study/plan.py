"""A run of a study: a plan, its options and a seed."""

import dataclasses
import re

import keras

import keras_smskd as smskd
from benchmarks.study.methods import FACTORS, METHODS
from benchmarks.study.protocol import Protocol
from benchmarks.study.schedule import optimizer, rates_of
from benchmarks.study.weightings import WEIGHTINGS

ALONE = "alone"


@dataclasses.dataclass(frozen=True)
class Run:
    """What is trained: all that may differ between the runs of one protocol.

    Attributes:
        plan: Methods, such as `"FitNet > KD + RKD"`: stages by `>`, in each of them methods by `+`; `"alone"` for the
            student without a teacher. A method has its published weight times its factor in `FACTORS`, or times the one
            that is in front of it, `"0.1 * FitNet"`.
        seed: Of the student's weights, the order of the data and all else.
        reference_weight: Weight of the reference loss.
        reference_temperature: Temperature of the reference loss.
        weighting: Which samples the reference holds.
        restart: Whether the learning rate begins anew in each stage, or falls once over all of them.
        epochs: Epochs of all stages together; 0 for the protocol's.
    """

    plan: str
    seed: int = 0
    reference_weight: float = 1.0
    reference_temperature: float = 4.0
    weighting: str = "tcp"
    restart: bool = True
    epochs: int = 0

    @property
    def stages(self) -> list[str]:
        """The plans of the single stages."""
        return [stage.strip() for stage in self.plan.split(">")]

    @property
    def label(self) -> str:
        """The plan with the options that are not the defaults: what the seeds of a row have in common."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        chosen = dataclasses.asdict(self)
        options = [f"{name}={chosen[name]}" for name in OPTIONS if chosen[name] != defaults[name]]
        return ", ".join([self.plan, *options])

    @property
    def name(self) -> str:
        """A name for files."""
        words = self.label.replace(">", "then").replace("+", "and").replace("*", "x")
        return re.sub(r"[^\w.=-]+", "_", f"{words} seed={self.seed}")


OPTIONS = ("reference_weight", "reference_temperature", "weighting", "restart", "epochs")


def distiller_of(stage: str, teacher: keras.Model, student: keras.Model, images: int) -> smskd.Distiller:
    """The distiller of a stage, a joint one for several methods."""
    distillers = [_single(term, teacher, student, images) for term in stage.split("+")]
    return distillers[0] if len(distillers) == 1 else smskd.JointDistiller(distillers)


def _single(term: str, teacher: keras.Model, student: keras.Model, images: int) -> smskd.Distiller:
    factor, _, method = term.rpartition("*")
    method = method.strip()
    distiller = METHODS[method](teacher, student, images)
    chosen = float(factor or FACTORS.get(method, 1.0))
    distiller.distillation_weight = chosen * float(distiller.distillation_weight.numpy())
    return distiller


def sequence_of(run: Run, protocol: Protocol, teacher: keras.Model, student: keras.Model) -> smskd.SequentialDistiller:
    """The stages of a run, each with its part of the epochs."""
    count = len(run.stages)
    epochs, whole = protocol.epochs // count, rates_of(protocol, protocol.epochs)
    stages = []
    for index, stage in enumerate(run.stages):
        rates = rates_of(protocol, epochs) if run.restart else whole[index * epochs : (index + 1) * epochs]
        of_stage = optimizer(protocol, rates, protocol.images)
        distiller = distiller_of(stage, teacher, student, protocol.images)
        stages.append(smskd.Stage(distiller, epochs, optimizer=of_stage, name=stage))
    return smskd.SequentialDistiller(
        stages,
        reference_weight=run.reference_weight if count > 1 else 0.0,
        reference_temperature=run.reference_temperature,
        weighting=WEIGHTINGS[run.weighting],
    )
