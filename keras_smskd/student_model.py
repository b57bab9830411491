"""A Keras model that stands for its student: what it predicts, saves and exports is the student."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import keras

from keras_smskd.checks import check_installed
from keras_smskd.features import inner_layers

Tensor = Any
HALF = "mixed_float16"
EXPORTS_NEED = (
    "What exports need: ONNX `onnx`, with `tf2onnx` on TensorFlow and `onnxscript` on PyTorch (the extra `export`), "
    "with `jax2onnx` on JAX (the extra `export-jax`); LiteRT on PyTorch `litert-torch`; SavedModel on JAX "
    "`tensorflow`. PyTorch exports no SavedModel, and PyTorch alone the format `torch`."
)


class StudentModel(keras.Model):
    """Base of all distillers: the artifact of a run is the student, so nothing else is predicted with or saved.

    Args:
        student: The built model that is trained.
        name: Name of the model.
    """

    set_once: Sequence[str] = ()
    """Arguments that would be without effect if they were set later."""

    def __init__(self, student: keras.Model, name: str | None = None) -> None:
        # Teacher and student cast the inputs themselves, each to its own precision.
        super().__init__(name=name, dtype=policy_of(student), autocast=False)
        self._student = student
        self.built = True

    @property
    def student(self) -> keras.Model:
        """The model that is trained."""
        return self._student

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("teacher", "teachers", "student", "reference"):
            raise AttributeError(
                f"The `{name}` of a distiller cannot be replaced, since its features are tapped already. Build a "
                "distiller of the other model instead."
            )
        if name in self.set_once and hasattr(self, name):
            raise AttributeError(
                f"The `{name}` of a {type(self).__name__} cannot be replaced. Build another one instead."
            )
        super().__setattr__(name, value)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """The student's outputs."""
        return self.student(x, training=training)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Saves the student, as `keras.Model.save` does."""
        self.student.save(filepath, *args, **kwargs)

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Saves the student's weights."""
        self.student.save_weights(filepath, *args, **kwargs)

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Loads the student's weights, all that are asked for or none."""
        before = self.student.get_weights()
        try:
            self.student.load_weights(filepath, *args, **kwargs)
        except ValueError as error:
            self.student.set_weights(before)
            raise ValueError(
                f"`filepath` must hold the weights of a model like the student '{self.student.name}', which is left as "
                f"it was. Received: filepath={str(filepath)!r} ({error})"
            ) from error

    def export(self, filepath: Any, format: str = "tf_saved_model", *args: Any, **kwargs: Any) -> None:
        """Exports the student for inference, as `keras.Model.export` does."""
        try:
            if format == "onnx":
                check_installed("onnx", f"format={format!r}")  # PyTorch alone says it by an error none of Python's.
                _check_pooling(self.student)
            self.student.export(filepath, format, *args, **kwargs)
        except ImportError as error:
            raise ImportError(f"{error}\n{EXPORTS_NEED}") from error


def _check_pooling(student: keras.Model) -> None:
    """Raises where a file would be written that no runtime takes, and nothing would say so."""
    kinds = keras.layers.MaxPooling2D, keras.layers.MaxPooling3D
    layers = [path for path, layer in inner_layers(student) if isinstance(layer, kinds)]
    if layers and keras.backend.backend() == "jax" and version("jax2onnx").startswith("0.17."):
        raise NotImplementedError(
            "`format` 'onnx' takes no `MaxPooling2D` or `MaxPooling3D` on JAX: jax2onnx 0.17 writes them so that no "
            f"runtime takes them. Received: a student with {', '.join(layers)}. Save the student, and export it on "
            "TensorFlow or PyTorch."
        )


def policy_of(student: keras.Model) -> Any:
    """The precision in which a student trains: in half precision Keras scales the loss, if the model says so.

    A model that was cloned, loaded or made of such layers does not say it: its layers do.
    """
    names = [layer.dtype_policy.name for _, layer in inner_layers(student)]
    is_half = any(name.endswith(HALF) for name in names)  # A layer in float8 has what it was before behind it.
    return keras.DTypePolicy(HALF) if is_half else student.dtype_policy
