"""What is exported is the student: it predicts as in memory, in every format that the backend offers."""

import importlib.util
import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_smskd as smskd
from tests.models import convolutional, images, label_loss

BACKEND = keras.backend.backend()
KERAS = tuple(int(part) for part in keras.__version__.split(".")[:2])
FILES = {"tf_saved_model": "student", "onnx": "student.onnx", "litert": "student.tflite", "torch": "student.pt2"}
# What each backend exports: since which Keras, and the packages that it needs and no environment of the tests has,
# for they are or bring another backend. A format without such packages must work wherever the tests run (on JAX
# with the extra `export-jax`), one with them where they are installed; elsewhere Keras has to say what is missing.
EXPORTS = {
    "tensorflow": {
        "tf_saved_model": ((3, 8), ()),
        "onnx": ((3, 8), ()),
        "litert": ((3, 13), ()),
    },
    "jax": {
        "tf_saved_model": ((3, 8), ("tensorflow",)),
        "onnx": ((3, 15), ()),
    },
    "torch": {
        "tf_saved_model": ((3, 8), ("tensorflow", "torch_xla")),
        "onnx": ((3, 8), ()),
        "litert": ((3, 15), ("litert_torch",)),
        "torch": ((3, 15), ()),
    },
}[BACKEND]


def refusal(file_format):
    """What Keras says, as a pattern, where it cannot export to a format; None where it can."""
    first, packages = EXPORTS.get(file_format, ((99,), ()))
    if first > KERAS:
        return "requires|Unrecognized format"
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return f"install.*{missing[0]}".replace("_", ".") if missing else None


EXPORTED = [file_format for file_format in FILES if refusal(file_format) is None]
REFUSED = [file_format for file_format in FILES if refusal(file_format)]


def student():
    """A student with all that differs between training and inference."""
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stage1")(x)
    x = layers.BatchNormalization(name="normalization")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="stage2")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(4, name="head")(x))


def one_method():
    return smskd.FitNetDistiller(convolutional(64), student(), layers={"stage2": "stage2"})


def sequence():
    distiller = one_method()
    second = smskd.KDDistiller(distiller.teacher, distiller.student)
    return smskd.SequentialDistiller([smskd.Stage(distiller, epochs=2), smskd.Stage(second, epochs=2)])


@pytest.fixture(scope="module", params=[pytest.param(one_method, marks=pytest.mark.compiles), sequence])
def distiller(request):
    keras.utils.set_random_seed(0)
    distiller = request.param()
    distiller.compile(optimizer=keras.optimizers.Adam(1e-2), loss=label_loss())
    distiller.fit(*images(32), batch_size=8, verbose=0)
    return distiller


def export(model, file_format, directory):
    directory.mkdir()
    path = directory / FILES[file_format]
    model.export(path, format=file_format, verbose=False)
    return path


def serving(path):
    """The artefact as its own runtime serves it: a function of inputs."""
    return {".onnx": onnx, ".tflite": litert, ".pt2": program}.get(path.suffix, saved_model)(path)


def saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def serve(x):  # Without what was loaded the function has no variables.
        return loaded.serve(x)

    return serve


def onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return lambda x: session.run(None, {session.get_inputs()[0].name: x})[0]


def litert(path):
    if BACKEND == "tensorflow":
        from tensorflow import lite
    else:
        from ai_edge_litert import interpreter as lite

    interpreter = lite.Interpreter(str(path))
    interpreter.allocate_tensors()

    def serve(x):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return serve


def program(path):
    import torch

    module = torch.export.load(str(path)).module()
    return lambda x: module(torch.from_numpy(x)).detach()


def size(path):
    """Bytes of an artefact, which may be several files."""
    return sum(file.stat().st_size for file in path.parent.rglob("*") if file.is_file())


@pytest.mark.parametrize("file_format", EXPORTED)
def test_exported_student_predicts_as_in_memory(distiller, file_format, tmp_path):
    x, _ = images(16, seed=1)
    training = keras.ops.convert_to_numpy(distiller.student(x, training=True))
    expected = distiller.predict(x, verbose=0)
    assert np.abs(training - expected).max() > 0.01  # Dropout and batch statistics would be seen.
    serve = serving(export(distiller, file_format, tmp_path / "export"))
    # One by one: some formats have batches of one, unless they are told otherwise.
    predictions = np.concatenate([np.asarray(serve(x[i : i + 1])) for i in range(len(x))])
    np.testing.assert_allclose(predictions, expected, rtol=1e-6, atol=5e-7)


@pytest.mark.parametrize("file_format", EXPORTED)
def test_artefact_holds_the_student_alone(distiller, file_format, tmp_path):
    """It is as large as that of a student that no distiller has seen."""
    untrained = student()
    untrained(images(1)[0])  # Some formats ask for it.
    alone = size(export(untrained, file_format, tmp_path / "alone"))
    exported = size(export(distiller, file_format, tmp_path / "distilled"))
    weights = 4 * distiller.student.count_params()
    assert exported > weights
    assert abs(exported - alone) < weights / 4


@pytest.mark.skipif("onnx" not in EXPORTED, reason=f"needs {refusal('onnx')}")
def test_a_student_that_pools_in_onnx(tmp_path):
    teacher, pooling = (
        keras.Sequential(
            [keras.Input((8, 8, 1)), layers.Conv2D(width, 3), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(4)]
        )
        for width in (8, 4)
    )
    x, _ = images(1)
    distiller = smskd.KDDistiller(teacher, pooling)
    if BACKEND == "jax":
        with pytest.raises(NotImplementedError, match=f"on JAX.*Received: a student with {pooling.layers[1].name}"):
            export(distiller, "onnx", tmp_path / "export")
    else:
        path = export(distiller, "onnx", tmp_path / "export")
        np.testing.assert_allclose(serving(path)(x), distiller.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("file_format", REFUSED)
def test_what_an_export_needs_is_said(distiller, file_format, tmp_path):
    with pytest.raises((ValueError, ImportError), match=refusal(file_format)):
        export(distiller, file_format, tmp_path / "export")


def test_onnx_must_be_installed(distiller, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="(?s)format='onnx'.*pip install onnx.*tf2onnx.*extra `export`"):
        export(distiller, "onnx", tmp_path / "export")
