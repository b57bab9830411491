"""Measurements that take turns, so that ratios hold on a machine whose speed changes; tables and files of them."""

import json
import pathlib
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

CLOCKS = {"processor": time.process_time, "clock": time.perf_counter}

Seconds = dict[str, dict[str, list[float]]]
Row = dict[str, Any]


def take_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> Seconds:
    """The seconds of every run in every round, those of all threads ("processor") and of the clock.

    Each run is made once before, which compiles it.
    """
    for run in runs.values():
        run()
    seconds: Seconds = {name: {clock: [] for clock in CLOCKS} for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            starts = {clock: read() for clock, read in CLOCKS.items()}
            run()
            for clock, read in CLOCKS.items():
                seconds[name][clock].append(read() - starts[clock])
    return seconds


def ratio(seconds: Seconds, name: str, to: str) -> Row:
    """The median of a run's seconds relative to another's, and the half of the rounds in the middle: its spread."""
    row = {}
    for clock in CLOCKS:
        ratios = np.array(seconds[name][clock]) / np.array(seconds[to][clock])
        low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        row |= {clock: round(float(median), 3), f"{clock} spread": round(float(high - low), 3)}
    return row


def milliseconds(seconds: Seconds, name: str, steps: int) -> float:
    """The median milliseconds of a step by the clock."""
    return round(float(np.median(seconds[name]["clock"])) / steps * 1000, 2)


def show(title: str, rows: Mapping[str, Row]) -> None:
    """Prints a table."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    print(f"\n{title} ({place()}, keras {keras.__version__})")
    print(" " * 40 + "".join(f"{column:>19}" for column in columns))
    for name, row in rows.items():
        print(f"{name:40}" + "".join(f"{row.get(column, ''):>19}" for column in columns), flush=True)


def save(script: str, rows: Mapping[str, Row]) -> None:
    """Writes rows into the file beside a script, among those measured before and elsewhere."""
    file = pathlib.Path(script).with_suffix(".json")
    results = json.loads(file.read_text()) if file.exists() else {}
    entry = results.setdefault(place(), {"versions": {}, "rows": {}})
    entry["versions"] = versions()
    entry["machine"] = machine()
    entry["rows"].update(rows)
    file.write_text(json.dumps(results, indent=1) + "\n")


def versions() -> dict[str, str]:
    """The versions of Keras and of the framework below it."""
    backend = keras.backend.backend()
    return {"keras": keras.__version__, backend: __import__(backend).__version__}


def accelerator() -> str | None:
    """The name of the GPU, if there is one."""
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        names = subprocess.run(command, check=False, capture_output=True)
    except OSError:
        return None
    return names.stdout.decode().strip() or None


def place() -> str:
    """The backend, and the GPU if there is one: what measurements are kept under."""
    return ", ".join(filter(None, [keras.backend.backend(), accelerator()]))


def machine() -> str:
    """What the measurements were made on."""
    models = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = models[0].split(":")[1].strip() if models else platform.machine()
    return ", ".join(filter(None, [f"{len(models)} cores of {processor}", accelerator()]))
