"""What doctests may use without importing it."""

import numpy as np
import pytest

collect_ignore_glob = ["docs/*.py"]  # Scripts: they import one another.


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    import keras  # Not by the process that only starts the workers.

    doctest_namespace.update(keras=keras, np=np)
