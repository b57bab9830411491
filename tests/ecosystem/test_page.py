"""The code of docs/ecosystem.md runs."""

import pathlib
import re

import keras
import numpy as np
import pytest

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "ecosystem.md").read_text()
BLOCKS = {
    section.partition("\n")[0]: re.findall(r"(?ms)^```python\n(.*?)^```$", section) for section in PAGE.split("\n## ")
}
NEEDED = ("keras_cv", "keras_hub", "tensorflow")
TITLES = [title for title, blocks in BLOCKS.items() if blocks]


@pytest.mark.parametrize(
    "title", [pytest.param(title, marks=pytest.mark.slow if title == "KerasCV" else ()) for title in TITLES]
)
def test_the_code_of_a_section_runs(title):
    (code,) = BLOCKS[title]
    for name in (name for name in NEEDED if f"import {name}" in code):
        pytest.importorskip(name)
    if "keras_cv" in code and keras.backend.backend() != "tensorflow":
        pytest.skip("KerasCV's augmentation needs TensorFlow")
    names = {}
    exec(compile(code, title, "exec"), names)
    losses = names["history"].history["loss"]
    assert np.isfinite(losses).all()
