"""What importing the package costs, in a process of its own."""

import os
import pathlib
import subprocess
import sys

import keras

CODE = """
import sys, time
times = [time.process_time()]
import keras
times.append(time.process_time())
import keras_smskd
times.append(time.process_time())
print((times[2] - times[1]) / (times[1] - times[0]), *{"tensorboard", "keras_tuner"} & set(sys.modules))
"""


def test_it_is_light():
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent.parent)}
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment)
    to_keras, *heavy = run.stdout.split()
    assert float(to_keras) < 0.1
    of_keras = {"tensorboard"} if keras.backend.backend() == "tensorflow" else set()
    assert set(heavy) <= of_keras
