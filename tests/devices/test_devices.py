"""Several devices, and several processes, train the same student as one device; see `world`."""

import concurrent.futures
import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[2]
EVERY = ["resumed", "cache", "gathered", "conflict", "apart"]
SOME = ["resumed", "shared_cache", "gathered"]

# By backend and name: the script, what it trains on, how many processes, and what they train.
RUNS = {
    "jax": {
        "DataParallel, 2 devices": ("on_jax", {"kind": "data", "count": 2}, 1, EVERY),
        "DataParallel, 4 devices": ("on_jax", {"kind": "data", "count": 4}, 1, SOME),
        "ModelParallel, 2 devices": ("on_jax", {"kind": "model", "count": 2}, 1, SOME),
        "ModelParallel, 4 devices": ("on_jax", {"kind": "model", "count": 4}, 1, SOME),
        "DataParallel, 2 processes": ("on_jax", {"kind": "data", "count": 2}, 2, SOME),
    },
    "tensorflow": {
        "MirroredStrategy, 2 devices": ("on_tensorflow", {"count": 2}, 1, EVERY),
        "MirroredStrategy, 4 devices": ("on_tensorflow", {"count": 4}, 1, SOME),
        "MultiWorkerMirroredStrategy, 2 processes": ("on_workers", {}, 2, ["stages", "gathered"]),
    },
    "torch": {
        "2 processes": ("on_torch", {"count": 2}, 2, [*EVERY, "shared_cache", "loop"]),
        "4 processes": ("on_torch", {"count": 4}, 4, SOME),
    },
}
OF_BACKEND = RUNS[keras.backend.backend()]


def addresses(count):
    """Free ones of this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    free = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return free


def launched(directory, script, processes, **arguments):
    """Runs the processes of a script to their end; gives the differences that the first has found."""
    devices = 1 if processes > 1 else arguments.get("count", 1)
    environment = {"PYTHONPATH": ROOT, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}

    def process(rank):
        described = json.dumps({**arguments, "rank": rank})
        command = [sys.executable, "-m", f"tests.devices.scripts.{script}", described]
        options = {"cwd": directory, "env": {**os.environ, **environment}, "capture_output": True, "text": True}
        return subprocess.run(command, timeout=300, check=False, **options)

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        done = list(pool.map(process, range(processes)))
    assert [each.returncode for each in done] == [0] * processes, "\n".join(each.stderr[-3000:] for each in done)
    return json.loads(done[0].stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_BACKEND)
def test_several_devices_train_as_one(name, tmp_path):
    script, devices, processes, cases = OF_BACKEND[name]
    found = launched(tmp_path, script, processes, **devices, addresses=addresses(processes), cases=cases)
    apart = found.pop("apart", None)
    assert found
    for case, differences in found.items():
        assert max(differences.values()) < 1e-5, (case, differences)
    if apart is not None and keras.backend.backend() == "jax":  # Where a step sees the whole batch.
        assert apart["weights"] < 1e-5
    elif apart is not None:
        assert apart["weights"] > 1e-2
