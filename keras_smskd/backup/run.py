"""A run through stages: how far it is, and what it takes to go on from there."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.backup import variables
from keras_smskd.backup.checkpoint import Checkpoint
from keras_smskd.backup.description import differences
from keras_smskd.backup.memory import FirstSight, Memory
from keras_smskd.backup.plain import Arrays
from keras_smskd.backup.stage_run import BatchwiseRun, StageRun
from keras_smskd.history import StageRecord


class Run:
    """A run that ends with its process; a context.

    Args:
        sequence: The compiled `SequentialDistiller`.
        seed: Seed of the order of samples and of all random numbers, or None.
        moment: The checkpoint with which it goes on, if it does not begin.
        every: How many batches apart checkpoints are made within an epoch; None for none.
        fit: What it trains on, in which batches, from `description_of_fit`.
        resume: "force" to go on with other data or batches than those of the moment.

    Attributes:
        stage: The stage that the run is in, from 0.
        records: What the stages before have done.
        last: The last checkpoint; None when the run is over, and all is in the models.
    """

    goes_on = False
    """Whether the run had begun before."""

    def __init__(
        self,
        sequence: Any,
        seed: int | None = None,
        moment: Checkpoint | None = None,
        every: int | None = None,
        fit: dict[str, Any] | None = None,
        resume: bool | str = True,
    ) -> None:
        self.sequence = sequence
        self.seed = seed
        self.every = every
        self.fit = fit
        self.resume = resume
        self.stage = 0
        self.records: list[StageRecord] = []
        self.last: Checkpoint | None = None
        self._moment: Checkpoint | None = None
        self._first_sight = FirstSight()
        if moment is not None:
            self._check_seed(moment.facts["seed"])
            self.every = every or moment.facts.get("every")
            self.go_on(moment)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: Any) -> None:
        """Ends the run."""

    @property
    def is_within_stage(self) -> bool:
        """Whether the stage that comes next had been begun."""
        return self._moment is not None

    @property
    def is_over(self) -> bool:
        """Whether all stages have ended."""
        return self.stage == len(self.sequence.stages)

    def _check_seed(self, before: int | None) -> None:
        if self.seed not in (None, before):
            raise ValueError(
                f"`seed` must be that of the run that goes on, {before}, or None; `resume=False` begins anew. "
                f"Received: seed={self.seed}"
            )

    def _check_fit(self, facts: dict[str, Any]) -> None:
        before = facts.get("fit")
        different = differences(before, self.fit) if before and self.fit else []
        if different and facts.get("batch"):
            raise ValueError(
                f"The run was kept within an epoch, whose rest other data do not have: {'; '.join(different)}. Give "
                "`fit` what it had before, or begin anew with `resume=False`."
            )
        if different and self.resume != "force":
            raise ValueError(
                f"`fit` must go on with what the run was trained on before: {'; '.join(different)}. `resume='force'` "
                "goes on nevertheless, `resume=False` begins anew."
            )

    def go_on(self, moment: Checkpoint) -> None:
        """Takes up the run at a moment."""
        facts = moment.facts
        self._check_fit(facts)
        self.goes_on = True
        self.seed, self.stage = facts["seed"], facts["stage"]
        self.last = None if self.is_over else moment
        self.records = [StageRecord(**record) for record in facts["records"]]
        self.restore_models(moment)
        self._moment = moment if "callbacks" in facts else None

    def begin_stage(self, name: str, distiller: Any, callbacks: Sequence[keras.callbacks.Callback]) -> StageRun:
        """What records a stage whose distiller is compiled and whose callbacks are as their user made them."""
        moment, self._moment = self._moment, None
        record = StageRecord(name, [], {})
        distiller.first_batch = 0
        if moment is not None:
            record = StageRecord(**moment.facts["begun"])
            distiller.first_batch = moment.facts["batch"]
            self.restore_models(moment)
            variables.restore(variables.of_optimizer(distiller), moment.arrays, variables.OPTIMIZER)
        memory = Memory(callbacks, self._first_sight)
        if self.every is None and not distiller.first_batch:
            return StageRun(record, self, memory, moment)
        return BatchwiseRun(record, self, memory, moment, self.every)

    def end_epoch(self, record: StageRecord) -> None:
        """Looks at the student after an epoch of a stage."""

    def end_stage(self, stage_run: StageRun) -> None:
        """Goes on to the next stage."""
        self.records.append(stage_run.record)
        self.stage += 1
        if self.is_over:
            self.end(stage_run.memory)

    def end(self, memory: Memory) -> None:
        """Lets go of the last checkpoint when the run is over."""
        self.last = None

    def remind(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Gives the callbacks of the last stage back what they remembered when the run was over."""
        if self._moment is not None:
            Memory(callbacks, self._first_sight).restore(self._moment.facts["callbacks"], self._moment.arrays)

    def checkpoint(self, arrays: Arrays | None = None, **of_stage: Any) -> Checkpoint:
        """The run as it is now, with what belongs to the stage that has begun."""
        facts = {"seed": self.seed, "stage": self.stage, "fit": self.fit, "every": self.every, **of_stage}
        facts["records"] = [dataclasses.asdict(record) for record in self.records]
        of_models = variables.values(variables.of_models(self.sequence, self.stage), variables.MODELS)
        return Checkpoint(facts, {**of_models, **(arrays or {})})

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keeps a checkpoint in memory, as long as the run is not over."""
        self.last = None if self.is_over else checkpoint

    def restore_models(self, moment: Checkpoint) -> None:
        """Gives the models their values of a moment."""
        of_models = variables.of_models(self.sequence, moment.facts["stage"])
        variables.restore(of_models, moment.arrays, variables.MODELS)
