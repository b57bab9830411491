"""Checks of the models that a user hands in, each with an error that says what was received and what would do."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_smskd.features import LOGITS, FeatureExtractor, example_inputs, input_specs, taken_of


def check_models(teacher: keras.Model, student: keras.Model) -> None:
    """Raises unless teacher and student are two built models that share no layer and no weight."""
    for role, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"`{role}` must be a `keras.Model`; teacher and student are given in this order. "
                f"Received: {role}={model!r} (of type {type(model)})"
            )
        if hasattr(model, "student"):
            raise TypeError(f"`{role}` must be a model. Received: the distiller '{model.name}'. Pass its `.student`.")
        if not model.built:
            raise ValueError(
                f"`{role}` must be built. Received: the unbuilt model '{model.name}'. "
                "Give it a `keras.Input`, call it on a batch, or call `build(input_shape)`."
            )
    of_teacher = {id(weight) for weight in teacher.weights}
    shared = [weight.path for weight in student.weights if id(weight) in of_teacher]
    if shared:
        raise ValueError(
            "`student` must share no layer with `teacher`: training the student would change the teacher. Received: "
            f"{', '.join(map(repr, shared[:5]))} in both. Build the student from layers of its own, or from a copy "
            "(`keras.models.clone_model`)."
        )


def check_distillers(name: str, distillers: Any) -> None:
    """Raises unless `distillers` is a list of distillers, one or more, of the same teacher and student."""
    if not isinstance(distillers, list | tuple) or not distillers:
        raise ValueError(f"`{name}` must be a list of one distiller or more. Received: {name}={distillers!r}")
    for distiller in distillers:
        if not hasattr(distiller, "distillation_loss"):
            raise TypeError(f"`{name}` must hold distillers. Received: {distiller!r} (of type {type(distiller)})")
        for role, one in (("teachers", "one teacher, or the same teachers in one order"), ("student", "one student")):
            models, first = (keras.tree.flatten(getattr(each, role)) for each in (distiller, distillers[0]))
            if list(map(id, models)) != list(map(id, first)):
                raise ValueError(
                    f"`{name}` must share {one}. Received: {distillers[0].method} with {_names(first)} and "
                    f"{distiller.method} with {_names(models)}, which is another object."
                )


def _names(models: Sequence[keras.Model]) -> str:
    return ", ".join(f"'{model.name}'" for model in models)


def check_classifiers(*extractors: FeatureExtractor) -> int:
    """Returns the number of classes, if all models, the student last, end in the logits of the same classes."""
    for extractor in extractors:
        logits, role, name = extractor.example[LOGITS], extractor.role, extractor.model.name
        if logits.ndim != 2 or logits.shape[-1] < 2:
            raise ValueError(
                f"`{role}` must be a classifier with one output of shape (batch, classes), two classes or more. "
                f"Received: the model '{name}' with output shape {(None, *logits.shape[1:])}."
            )
        if not np.isfinite(logits).all() and not _has_finite_weights(extractor.model):
            raise ValueError(
                f"`{role}` must have finite weights. Received: the model '{name}' with NaN or infinite weights: "
                "its training diverged, or a wrong file was loaded."
            )
        rounding = 2e-2 if "16" in extractor.model.compute_dtype else 1e-4
        if (logits >= 0).all() and np.allclose(logits.sum(axis=-1), 1.0, atol=rounding):
            inputs = "input" if len(getattr(extractor.model, "inputs", ())) > 1 else "inputs[0]"
            raise ValueError(
                f"`{role}` must output logits. Received: the model '{name}', which ends in a softmax; a logarithm "
                "cannot give back the logits that float32 rounded to probabilities of 0 or 1. Build it without its "
                "last activation (`classifier_activation=None` in keras.applications), or take that off its last "
                f"layer: `{role}.layers[-1].activation = keras.activations.linear`, where that layer has one, or "
                f"`keras.Model({role}.{inputs}, {role}.layers[-1].input)`, where it is the softmax."
            )
    classes, of_student = (extractor.shapes[LOGITS][-1] for extractor in (extractors[0], extractors[-1]))
    if classes != of_student:
        raise ValueError(
            "`teacher` and `student` must have the same number of classes. "
            f"Received: a teacher of {classes} and a student of {of_student} classes."
        )
    return classes


def _has_finite_weights(model: keras.Model) -> bool:
    return all(np.isfinite(weight).all() for weight in model.get_weights())


def check_same(distillers: Sequence[Any], name: str) -> Any:
    """Returns the attribute `name` that all distillers have in common."""
    values = [getattr(distiller, name) for distiller in distillers]
    if any(value != values[0] for value in values):
        raise ValueError(f"`distillers` must have the same `{name}`. Received: {values!r}")
    return values[0]


def check_teachers(teacher: Any, teachers: Any) -> list[keras.Model]:
    """Returns the teachers as a list, if they were given in one of the two ways."""
    if (teacher is None) == (teachers is None):
        raise ValueError(
            "One of `teacher` and `teachers` must be given, one model or a list of them. Received: "
            f"teacher={teacher!r}, teachers={teachers!r}"
        )
    if isinstance(teacher, list | tuple):
        raise TypeError(f"`teacher` must be a `keras.Model`; several go to `teachers`. Received: teacher={teacher!r}")
    if teachers is None:
        return [teacher]
    if not isinstance(teachers, list | tuple) or not teachers:
        raise ValueError(f"`teachers` must be a list of one model or more. Received: teachers={teachers!r}")
    return list(teachers)


def check_inputs(teachers: Sequence[FeatureExtractor], student: FeatureExtractor, preprocessing: Any) -> None:
    """Raises unless every teacher takes what the student takes, or what `preprocessing` makes of it."""
    given = preprocessing(example_inputs(student.model)) if preprocessing else input_specs(student.model)
    for extractor in teachers:
        wanted = input_specs(extractor.model)
        received, accepted = _shapes(taken_of(given, wanted)), _shapes(wanted)
        if len(accepted) != len(received) or not all(map(_fits, received, accepted)):
            raise ValueError(
                "`teacher_preprocessing` must make the inputs of a teacher from those of the student. Received: "
                f"teacher_preprocessing={preprocessing!r} for the teacher '{extractor.model.name}' with inputs of "
                f"shape {_text(accepted)} and the student '{student.model.name}', which gives {_text(received)}."
            )


def check_arrays(x: Any, student: keras.Model) -> None:
    """Raises unless arrays are such as the student takes, if it says which: one not made of a graph does not."""
    specs, arrays = getattr(student, "inputs", None), keras.tree.flatten(x)
    if not specs or isinstance(x, dict):
        return
    accepted, received = _shapes(specs), _shapes(arrays)
    if len(accepted) != len(received) or not all(map(_fits, map(_squeezed, received), map(_squeezed, accepted))):
        raise ValueError(
            f"`x` must have the shape that the student '{student.name}' takes, {_text(accepted)}. "
            f"Received: x of shape {_text(received)}"
        )
    for spec, array in zip(specs, arrays, strict=True):
        if isinstance(array, np.ndarray) and array.dtype.kind not in "biuf" and spec.dtype != "string":
            raise ValueError(f"`x` must hold numbers. Received: x of dtype {array.dtype}")


def _squeezed(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The shape without a last axis of size 1, which Keras adds or takes away."""
    return shape[:-1] if shape[-1] == 1 else shape


def check_trains(distiller: Any) -> None:
    """Raises if all that a distiller would train is frozen."""
    student = distiller.student
    if not distiller.trainable_variables:
        raise ValueError(
            f"`student` must have weights to train. Received: the model '{student.name}', none of whose layers is "
            "`trainable`. Set `student.trainable = True`, and compile again."
        )


def check_same_shapes(teachers: Sequence[FeatureExtractor]) -> None:
    """Raises unless the features of all teachers have the shapes of the first one's."""
    first = teachers[0]
    for extractor in teachers[1:]:
        for path, shape in extractor.shapes.items():
            if shape != first.shapes[path]:
                raise ValueError(
                    f"`teachers` must have features of the same shapes. Received: '{path}' of shape {(None, *shape)} "
                    f"in '{extractor.model.name}' and of shape {(None, *first.shapes[path])} in '{first.model.name}'."
                )


def _shapes(inputs: Any) -> list[tuple[int | None, ...]]:
    return [(None, *x.shape[1:]) for x in keras.tree.flatten(inputs)]


def _fits(received: tuple[int | None, ...], accepted: tuple[int | None, ...]) -> bool:
    sizes = zip(received, accepted, strict=False)
    return len(received) == len(accepted) and all(a == b or a is None or b is None for a, b in sizes)


def _text(shapes: list[tuple[int | None, ...]]) -> str:
    return ", ".join(map(str, shapes))


def check_one_teacher(distiller: Any) -> None:
    """Raises if a method that reads the weights of its teacher was given several."""
    if len(distiller.teachers) > 1:
        raise ValueError(
            f"`teachers` must be one for {distiller.method}, which reads its weights. "
            f"Received: {len(distiller.teachers)} teachers."
        )
