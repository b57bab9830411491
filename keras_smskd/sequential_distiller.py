"""SequentialDistiller: the loop over stages, the reference between them, the history of all."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_smskd.backup import Backup, Run, check_backup, check_resume, description, description_of_fit
from keras_smskd.base.fit_checks import check_names
from keras_smskd.cache import Cache, as_cache
from keras_smskd.callbacks.across_stages import AcrossStages
from keras_smskd.checks import check_count
from keras_smskd.history import SequentialHistory, StageRecord
from keras_smskd.replicas import check_fit
from keras_smskd.saved_run import SavedRun


@keras.saving.register_keras_serializable("keras_smskd")
class SequentialDistiller(SavedRun):
    """Sequential Multi-Stage Knowledge Distillation (SMSKD): a student trained by one method after another.

    When a stage ends, the student is copied and frozen. In the next stage this reference adds the loss

        reference_weight * mean_i w_i * T^2 * KL(softmax(reference_i / T) || softmax(student_i / T)),
        w_i = 1 - TCP_i,  TCP_i = softmax(teacher_i)[y_i]

    so that the student keeps what it learned, most of all for samples that the teacher does not know. The paper's
    formulas beyond its abstract are not available to us: the divergence, its temperature and the weight 1 are our
    choice.

    `evaluate`, `predict`, `save` and `export` are the student's; the teacher comes back from `fit` as it went in.

    Args:
        stages: List of `Stage`s or bare distillers, one or more, all of one teacher and one student.
        reference_weight: Weight of the reference loss from the second stage on, at least 0; 0 is plain training in
            sequence, without a reference. Stages that do not train the student, such as `FTDistiller.initial()`, do not
            count.
        reference_temperature: Temperature of the reference loss, above 0.
        weighting: Weight of each sample in the reference loss: `"tcp"` for `1 - TCP`, `"uniform"` for 1, or a callable
            `(teacher_logits, y) -> (batch,)`.
        student_factory: Makes a new, built model of the student's architecture, for a student that
            `keras.models.clone_model` cannot copy.
        name: Name of the model.

    Raises:
        TypeError: If a stage is neither a `Stage` nor a distiller, `weighting` does not take logits and labels, or an
            argument is unknown.
        ValueError: If there is no stage, the stages differ in teacher or student, a number is out of range, or the
            student cannot be copied.

    Example:

    >>> from keras_smskd import FitNetDistiller, KDDistiller, Stage
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, name="hint"), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="guided"), keras.layers.Dense(3)])
    >>> distiller = SequentialDistiller([
    ...     Stage(FitNetDistiller(teacher, student, layers={"hint": "guided"}), epochs=2),
    ...     Stage(KDDistiller(teacher, student), epochs=1),
    ... ])
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)
    >>> history.epoch, [stage.name for stage in history.stages]
    ([0, 1, 2], ['FitNet', 'KD'])

    Source: Tian, Huang, Tang and Yao, "Integrating Knowledge Distillation Methods: A Sequential Multi-Stage Framework",
    arXiv:2601.15657.
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int | Sequence[int] | None = None,
        verbose: Any = "auto",
        callbacks: Any = None,
        *,
        cache: Any = None,
        seed: int | None = None,
        backup_dir: Any = None,
        backup_every: int | None = None,
        backup_best: str | tuple[str, str] | None = None,
        resume: bool | str = True,
        **kwargs: Any,
    ) -> SequentialHistory:
        """Trains the student through all stages, with the arguments and data sources of `keras.Model.fit`.

        Args:
            x: Training data, as in `keras.Model.fit`; every stage iterates over it anew. A generator, which cannot,
                goes on where the stage before and Keras's reading ahead left it.
            y: Labels: class ids, one-hot or soft.
            batch_size: Samples per step.
            epochs: Epochs of each stage: one number for all, or a list with one number per stage. It overrides the
                stages' own `epochs`; default: those, or 1 where a stage has none.
            verbose: As in `keras.Model.fit`; unless 0, a line announces each stage.
            callbacks: List of callbacks. They see every stage as one `fit` whose epochs continue those of the stage
                before; what a Keras callback remembers (the best value so far) starts anew in each stage, so
                `EarlyStopping` ends a stage, and `ModelCheckpoint` with one file holds the best of the last stage.
            cache: True, a directory or a `Cache`: what the teachers output is computed once, before the first stage,
                what the reference outputs at the start of each stage, and fed with the batches.
            seed: Makes the run repeat itself: in every epoch the order of arrays and the global random generators of
                Python, NumPy and the backend come from it.
            backup_dir: Directory that keeps the run: the same script, started again after any end of its process, goes
                on with the first epoch that was not finished, to the same student. Without `seed` one is drawn.
            backup_every: Also keeps the run after every so many batches of an epoch, of arrays or of a `PyDataset` of
                known length whose batches depend on their index alone.
            backup_best: Name of a log, such as `"val_accuracy"`: `student.keras` in `backup_dir` is then the student of
                the epoch, of all stages, in which it was best. Where Keras does not know whether a metric is better
                when it is higher or lower, name and mode: `("val_mine", "max")` or `("val_mine", "min")`. Default: the
                student of the end.
            resume: True to go on with what `backup_dir`, or the loaded sequence, holds, if it is of the same run;
                `"force"` to go on with that of another one; False to begin anew.
            **kwargs: Further arguments of `keras.Model.fit`, all but `initial_epoch`.

        Returns:
            One history of all epochs, whose `stages` say which belong to which stage.

        Raises:
            TypeError: As `Distiller.fit` does.
            ValueError: As `Distiller.fit` does, if `epochs` is out of range, without `compile` before, or if
                `backup_dir` holds another run.
            RuntimeError: If another process uses `backup_dir`.
            NotImplementedError: Under `tf.distribute.MultiWorkerMirroredStrategy`.
        """
        check_fit(self)
        self._check_compiled("fit")
        of_stages = {"initial_epoch": "is that of a stage. Pass `backup_dir`, and a run goes on where it was."}
        check_names(SequentialDistiller.fit, kwargs, of_stages)
        self._epochs = self._epochs_of_stages(epochs)
        if self._reference:
            self._reference.check(x, y)
        self.history = history = SequentialHistory()
        cache = self._checked_cache(cache)
        check_backup(backup_dir, backup_every, backup_best, x=x, steps_per_execution=self.steps_per_execution)
        check_resume(resume, can_go_on=backup_dir is not None or self._moment is not None)
        data = {"x": x, "y": y, "batch_size": batch_size, "verbose": verbose, "cache": cache, **kwargs}
        seed = None if seed is None else check_count("seed", seed, 0)
        run: Run
        of_run: dict[str, Any] = {"sequence": self, "seed": seed, "moment": self._moment if resume else None}
        of_run |= {"every": backup_every, "fit": description_of_fit(data), "resume": resume}
        if backup_dir is None:
            run = Run(**of_run)
        else:
            arguments = {**data, "backup_every": backup_every, "backup_best": backup_best}
            described = description(self, arguments, callbacks, seed)
            run = Backup(backup_dir, described, backup_best, verbose, **of_run)
        self._run, self._moment = run, None
        with AcrossStages(callbacks, self) as across, run:
            for record in run.records:
                history.append(record)
            if run.is_over:
                run.remind(across.for_stage(len(self.stages) - 1, goes_on=True))
            first = run.stage
            for index in range(first, len(self.stages)):
                self.stages[index].distiller.data_is_checked = index > first
                history.append(self._fit_stage(index, len(history.epoch), run, across, data))
        return history

    def _fit_stage(self, index: int, done: int, run: Run, across: AcrossStages, data: dict[str, Any]) -> StageRecord:
        """Trains a stage, and lets go of its compiled step and of what its optimizer remembers of every weight."""
        stage = self.stages[index]
        if data["verbose"]:
            print(f"Stage {index + 1}/{len(self.stages)} {stage.name}")
        distiller = self.begin_stage(index)
        distiller.first_epoch = done
        callbacks = across.for_stage(index, run.goes_on, run.is_within_stage)
        stage_run = run.begin_stage(stage.name, distiller, callbacks)
        left = stage_run.left(range(done, done + self._epochs[index]))
        arguments = {**data, "callbacks": [*callbacks, stage_run], "seed": run.seed}
        try:
            distiller.fit(initial_epoch=left.start, epochs=left.stop, **arguments)
        except FloatingPointError as error:
            raise FloatingPointError(f"Stage {index + 1} '{stage.name}': {error}") from None
        finally:
            distiller.first_epoch = distiller.first_batch = 0
            distiller.data_is_checked = False
        self._compile_stage(index)
        across.end_stage(index)
        run.end_stage(stage_run)
        return stage_run.record

    def _checked_cache(self, cache: Any) -> Cache | None:
        """The cache, if all stages can take it."""
        cache = as_cache(cache)
        for stage in self.stages if cache else ():
            stage.distiller.check_cacheable()
            layers = {*stage.distiller.also_cached, *self._layers_of(stage.distiller.teachers)}
            stage.distiller.also_cached = sorted(layers)
        return cache

    def _layers_of(self, teachers: Sequence[keras.Model]) -> list[str]:
        """The layers that the stages read of certain teachers."""
        distillers = [stage.distiller for stage in self.stages if stage.distiller.teachers == teachers]
        return sorted({path for distiller in distillers for path, _ in distiller.matched_layers})

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Raises: a sequence trains by `fit`, its single steps are those of a stage's distiller."""
        raise ValueError(
            "A sequence trains by `fit`. For single steps call `begin_stage(0)` once: it gives the distiller whose "
            "`train_on_batch` takes them."
        )
