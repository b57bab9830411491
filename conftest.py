"""What doctests may use without importing it."""

import keras
import numpy as np
import pytest

collect_ignore_glob = ["docs/*.py"]  # Scripts: they import one another.


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace.update(keras=keras, np=np)
