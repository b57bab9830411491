"""Trains two stages with the package as it is installed: run it with the Python of that environment, in any folder.

It needs a backend and nothing else, and fails if what it imports is a clone or misses a file.
"""

import importlib.metadata
import importlib.util
import pathlib
import tempfile

import keras
import numpy as np

import keras_smskd as smskd


def model(width: int) -> keras.Model:
    """Builds a classifier with a layer `hidden`."""
    hidden = keras.layers.Dense(width, activation="relu", name="hidden")
    return keras.Sequential([keras.Input((6,)), hidden, keras.layers.Dense(3)])


def check_files() -> None:
    """Raises unless the installed package is complete and is what was imported."""
    folder = pathlib.Path(smskd.__file__).parent
    assert "site-packages" in folder.parts, f"imported from {folder}"
    assert (folder / "py.typed").is_file(), "py.typed is missing"
    assert importlib.metadata.version("keras_smskd") == smskd.__version__
    modules = {path.stem for path in folder.rglob("*.py")}
    assert {"distiller", "kd", "plan_search", "checkpoint", "gradient_conflict"} <= modules, "modules are missing"
    for name in ("tests", "benchmarks", "docs", "examples"):
        spec = importlib.util.find_spec(name)
        assert spec is None or not str(spec.origin).startswith(str(folder.parent)), f"{name} was installed too"


def check_training() -> None:
    """Raises unless two stages train, and the student comes back from a file."""
    keras.utils.set_random_seed(0)
    teacher, student = model(16), model(4)
    x = np.random.normal(size=(64, 6)).astype("float32")
    y = np.random.randint(0, 3, 64)
    fitnet = smskd.FitNetDistiller(teacher, student, layers={"hidden": "hidden"}, distillation_weight=1.0)
    distiller = smskd.SequentialDistiller([smskd.Stage(fitnet, epochs=2), smskd.KDDistiller(teacher, student)])
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    history = distiller.fit(x, y, validation_data=(x, y), verbose=0)
    assert history.epoch == [0, 1, 2]
    assert np.isfinite(history.history["loss"]).all()
    assert history.history["reference_loss"][2] >= 0
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "student.keras"
        distiller.student.save(file)
        loaded = keras.saving.load_model(file)
    logits = (keras.ops.convert_to_numpy(each(x)) for each in (loaded, student))
    np.testing.assert_allclose(*logits, rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    check_files()
    check_training()
    print(f"keras_smskd {smskd.__version__} on {keras.backend.backend()}: installed, two stages trained")
