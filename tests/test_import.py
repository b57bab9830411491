"""What importing the package costs, in a process of its own."""

import os
import pathlib
import subprocess
import sys

import keras

CODE = (
    "import time, keras; start = time.process_time(); import keras_smskd, sys; "
    "print(time.process_time() - start, *({'tensorboard', 'keras_tuner'} & set(sys.modules)))"
)


def imported():
    """The processor time of the import, and which of the heavy modules came with it."""
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent.parent)}
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment)
    seconds, *heavy = run.stdout.split()
    return float(seconds), set(heavy)


def test_it_is_light():
    seconds, heavy = imported()
    assert seconds < 0.4 or min(imported()[0] for _ in range(2)) < 0.4  # The first may have to compile the bytecode.
    assert heavy <= ({"tensorboard"} if keras.backend.backend() == "tensorflow" else set())  # Which imports it itself.
