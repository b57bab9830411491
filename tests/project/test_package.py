"""The package as a whole: where a method stands, what is imported, what is public."""

import ast
import inspect
import pathlib
import re
import runpy
import sys

import pytest

import keras_smskd as smskd
from benchmarks.every_method import METHODS
from keras_smskd import distillers

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "keras_smskd"
SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("acronym", METHODS)
def test_a_method_stands_in_its_places(acronym):
    name = f"{acronym}Distiller"
    module = PACKAGE / "distillers" / f"{acronym.lower()}.py"
    assert f"def {acronym.lower()}_loss(" in module.read_text()
    assert getattr(smskd, name) is getattr(distillers, name)
    tests = (ROOT / "tests" / "distillers" / f"test_{acronym.lower()}.py").read_text()
    assert re.search(r"class Test\w+\(\w*Contract\)", tests)


@pytest.mark.parametrize("maker", ["make_methods.py", "make_performance.py", "make_results.py"])
def test_the_pages_are_up_to_date(maker, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    monkeypatch.setattr(sys, "argv", [maker, "--check"])
    runpy.run_path(str(ROOT / "docs" / maker), run_name="__main__")


def test_every_file_of_a_method_is_in_the_index():
    files = {path.stem for path in (PACKAGE / "distillers").glob("*.py")}
    assert files - {"__init__", "joint"} == {acronym.lower() for acronym in METHODS}


@pytest.mark.parametrize("name", [name for name in smskd.__all__ if inspect.isclass(getattr(smskd, name))])
def test_every_public_class_is_documented(name):
    documentation = inspect.getdoc(getattr(smskd, name))
    for section in ("Args:", "Raises:", "Example:", ">>> "):
        assert section in documentation
    if name.removesuffix("Distiller") in METHODS:
        assert "\nFormula" in documentation
        assert re.search(r"\nSource: (.|\n)+(arXiv:\d|(CVPR|ICLR|TPAMI) \d{4})", documentation)


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_only_public_keras_and_no_backend_is_imported(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    backends = {name for name in imported if name.split(".")[0] in ("tensorflow", "jax", "torch")}
    assert not backends or path.name == "replicas.py"
    assert "keras.src" not in path.read_text()


def test_the_citation_is_of_this_version():
    assert f"\nversion: {smskd.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_no_file_is_long():
    assert [str(path) for path in SOURCES if len(path.read_text().splitlines()) > 250] == []
