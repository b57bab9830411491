"""A sequence in one `.keras` file: its stages, and how far its run is."""

import pathlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import keras

from keras_smskd.backup import Checkpoint, Run, variables
from keras_smskd.base.arguments import numbered_configs
from keras_smskd.cache.digests import fingerprint
from keras_smskd.copies import enable_lora, lora_of
from keras_smskd.stage import Stage
from keras_smskd.staged import Staged

CHECKPOINT, TEACHERS = "run.npz", "teacher"
FACTS = ("include_teacher", TEACHERS, "seed", "stage", "records")
_handed: ContextVar[list[keras.Model] | None] = ContextVar("teachers handed to a sequence that is loaded", default=None)


class SavedRun(Staged):
    """Part of `SequentialDistiller`: saving and loading."""

    _run: Run | None = None
    _moment: Checkpoint | None = None
    _include_teacher = True

    def save(
        self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, *, include_teacher: bool = True
    ) -> None:
        """Saves the run in a `.keras` file: stages, student, reference, optimizer, seeds, and how far it is.

        What `load` or `keras.saving.load_model` gives back goes on by `fit`, given the data of before: with the epoch
        that was not finished, or with the first stage if the run was over. Callbacks are not saved: give `fit` and
        `stages[index].callbacks` those of before; nor, as in Keras, is what `exclude_from_weight_decay` told an
        optimizer. The student alone is saved by `student.save`.

        Args:
            filepath: The file, ending in `.keras`.
            overwrite: As in `keras.Model.save`.
            zipped: As in `keras.Model.save`.
            include_teacher: Whether the teachers are in the file too; if not, they are handed to `load`.

        Raises:
            ValueError: If the file does not end in `.keras`, or `weighting` or `student_factory` has no name by which
                `load` would find it.
        """
        for name, value in self._named():
            _check_has_name(name, value)
        if not str(filepath).endswith(".keras"):
            raise ValueError(f"`filepath` of a run must end in '.keras'. Received: filepath={str(filepath)!r}")
        self._include_teacher = include_teacher
        try:
            keras.Model.save(self, filepath, overwrite=overwrite, zipped=zipped)
        finally:
            self._include_teacher = True

    @classmethod
    def load(cls, filepath: Any, teacher: Any = None, custom_objects: dict[str, Any] | None = None) -> Any:
        """Loads a run, always in Keras's safe mode.

        Args:
            filepath: The file that `save` wrote.
            teacher: The teacher, or the list of teachers, of a file without them.
            custom_objects: As in `keras.saving.load_model`.

        Raises:
            ValueError: If the teacher is missing, or is another one than that of the run.
        """
        teachers = None if teacher is None else list(teacher) if isinstance(teacher, list | tuple) else [teacher]
        token = _handed.set(teachers)
        try:
            return keras.saving.load_model(filepath, custom_objects=custom_objects, safe_mode=True)
        finally:
            _handed.reset(token)

    def _named(self) -> Iterator[tuple[str, Any]]:
        """The arguments of sequence and distillers, whose functions a file must name."""
        yield from ((name, getattr(self, name)) for name in self.set_once)
        for stage in self.stages:
            for distiller in getattr(stage.distiller, "distillers", [stage.distiller]):
                yield from distiller.arguments().items()

    def _teachers(self) -> tuple[keras.Model, ...]:
        """The teachers; no property, which Keras would save."""
        return self.stages[0].distiller.teachers

    def get_config(self) -> dict[str, Any]:
        teachers = list(self._teachers()) if self._include_teacher else None
        arguments = {name: getattr(self, name) for name in ("name", *self.set_once)}
        config = keras.saving.serialize_keras_object({**arguments, "student": self.student, "teachers": teachers})
        config["lora"] = [lora_of(model) for model in (self.student, *(teachers or ()))]
        with numbered_configs():
            return {**config, "stages": [stage.get_config() for stage in self.stages]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        stages = config["stages"]
        rest = {name: value for name, value in config.items() if name not in ("stages", "lora")}
        arguments = keras.saving.deserialize_keras_object(rest)
        saved = arguments.pop("teachers") or []
        models = {"student": arguments.pop("student"), "teachers": saved or _handed.get()}
        if models["teachers"] is None:
            raise ValueError(
                "The run was saved without its teacher. Give it: `SequentialDistiller.load(filepath, teacher=teacher)`."
            )
        for model, lora in zip((models["student"], *saved), config.get("lora", ()), strict=False):
            enable_lora(model, lora)
        return cls(**{**arguments, "stages": [Stage.from_config(stage, models) for stage in stages]})

    def get_compile_config(self) -> dict[str, Any]:
        arguments = {"optimizer": self._default_optimizer, **self._compile_arguments()} if self.compiled else {}
        return keras.saving.serialize_keras_object(arguments)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def save_assets(self, inner_path: str) -> None:
        """Writes how far the run is, beside what Keras saves."""
        teachers = self._teachers()
        checkpoint = self._checkpoint()
        of_teachers = {TEACHERS: fingerprint(teachers), "include_teacher": self._include_teacher}
        arrays = variables.values(variables.of_teachers(teachers), TEACHERS) if self._include_teacher else {}
        saved = Checkpoint({**checkpoint.facts, **of_teachers}, {**checkpoint.arrays, **arrays})
        saved.write_to(pathlib.Path(inner_path) / CHECKPOINT)

    def load_assets(self, inner_path: str) -> None:
        """Reads how far the run is."""
        teachers = self._teachers()
        checkpoint = Checkpoint.read(pathlib.Path(inner_path) / CHECKPOINT)
        _check_is_known(checkpoint.facts)
        if checkpoint.facts["include_teacher"]:
            variables.restore(variables.of_teachers(teachers), checkpoint.arrays, TEACHERS)
        elif fingerprint(teachers) != checkpoint.facts[TEACHERS]:
            raise ValueError("`teacher` must be that of the run. Received: one with other weights.")
        of_run = {name: array for name, array in checkpoint.arrays.items() if not name.startswith(f"{TEACHERS}/")}
        checkpoint = Checkpoint(checkpoint.facts, of_run)
        Run(self, moment=checkpoint)
        self._moment = checkpoint if "begun" in checkpoint.facts else None

    def _checkpoint(self) -> Checkpoint:
        """The end of the last epoch of a run that was interrupted, otherwise all as it is now."""
        run = self._run or Run(self)
        return self._moment or run.last or run.checkpoint()


def _check_is_known(facts: dict[str, Any]) -> None:
    """Raises for the run of another version of this package, which tells less."""
    missing = [name for name in FACTS if name not in facts]
    if missing:
        raise ValueError(
            "`filepath` must hold a run that this version of keras_smskd can go on with. Received: a run of another "
            f"version, without {missing}. Load it with the version that saved it, and keep its student by "
            "`student.save`."
        )


def _check_has_name(name: str, function: Any) -> None:
    """Raises for a function that a file cannot name."""
    is_lambda = getattr(function, "__name__", None) == "<lambda>"
    if is_lambda or (callable(function) and not hasattr(function, "__name__") and not hasattr(function, "get_config")):
        raise ValueError(
            f"`{name}` of a run that is saved must be a function with a name: define it by `def`, and register it with "
            "`keras.saving.register_keras_serializable()`, or hand it to `load` in `custom_objects`. "
            f"Received: {name}={function!r}"
        )
