"""One thread a process; what runs once is not optimised; what is slow where; the tally of parity cases."""

import builtins
import os
import tempfile

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # More than one worker would wait for one another, on PyTorch most.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # Not in a worker of this process, which shares what is compiled.
    compiled = tempfile.TemporaryDirectory()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import keras  # noqa: E402

from tests import parity  # noqa: E402

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

collect_ignore = ["devices/scripts"]  # Each is a process of its own.


SEARCHES = ("search.md", "plan_search.py")
"""Where the examples are a search, whose every trial is compiled."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in SEARCHES:
            item.add_marker("compiles")
        if item.get_closest_marker("compiles") and keras.backend.backend() != "torch":
            item.add_marker("slow")


@pytest.fixture
def in_a_notebook(monkeypatch):
    """Libraries take this process for the kernel of a notebook, which they know by a class's name and by colours."""
    monkeypatch.setattr(builtins, "get_ipython", type("ZMQInteractiveShell", (), {}), raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")


def pytest_terminal_summary(terminalreporter):
    passed, failed = (_parity_cases(terminalreporter, outcome) for outcome in ("passed", "failed"))
    if passed or failed:
        cases, _ = parity.load()
        unmapped = sum(parity.adapter(case) is None for case in cases)
        terminalreporter.write_line(
            f"parity with {parity.INDEX.name}: {passed} passed, {failed} failed, {unmapped} not mapped"
        )


def _parity_cases(terminalreporter, outcome):
    reports = terminalreporter.stats.get(outcome, [])
    return sum("test_parity.py::test_case" in report.nodeid and report.when == "call" for report in reports)
