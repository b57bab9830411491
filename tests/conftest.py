"""One thread a process; what is not optimised, slow where, and let go of; the tally of parity cases."""

import builtins
import gc
import os
import tempfile

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # More than one worker would wait for one another, on PyTorch most.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # Not in a worker of this process, which shares what is compiled.
    compiled = tempfile.TemporaryDirectory()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

collect_ignore = ["devices/scripts"]  # Each is a process of its own.


SEARCHES = ("search.md", "plan_search.py")
"""Where the examples are a search, whose every trial is compiled."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    import keras  # Not by the process that only starts the workers.

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    for item in items:
        if item.path.name in SEARCHES:
            item.add_marker("compiles")
        if item.get_closest_marker("compiles") and backend != "torch":
            item.add_marker("slow")


def pytest_collection_finish():
    gc.collect()
    gc.freeze()  # What is there now stays to the end: nothing is found by looking through it again.


@pytest.fixture(autouse=True, scope="module")
def _let_go():
    """Lets go of a module's models while their memory is at hand, and of the compiled steps that TensorFlow keeps."""
    import keras

    yield
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework.ops import gradient_registry

        for name in list(gradient_registry.list()):
            if name.startswith("CustomGradient-"):  # Of `all_reduce`, which Keras's optimizers call in every trace.
                del gradient_registry._registry[name]
    gc.collect()


@pytest.fixture
def in_a_notebook(monkeypatch):
    """Libraries take this process for the kernel of a notebook, which they know by a class's name and by colours."""
    monkeypatch.setattr(builtins, "get_ipython", type("ZMQInteractiveShell", (), {}), raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")


def pytest_terminal_summary(terminalreporter):
    passed, failed, unmapped = (_parity_cases(terminalreporter, state) for state in ("passed", "failed", "skipped"))
    if passed or failed:
        file = os.path.basename(os.environ.get("KERAS_SMSKD_PARITY", "parity.json"))
        terminalreporter.write_line(f"parity with {file}: {passed} passed, {failed} failed, {unmapped} not mapped")


def _parity_cases(terminalreporter, outcome):
    reports = terminalreporter.stats.get(outcome, [])
    return sum("test_parity.py::test_case" in report.nodeid and report.when == "call" for report in reports)
