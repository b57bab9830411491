"""The pages of the docs: every public name is on one, all are in the navigation, and links lead somewhere."""

import importlib
import importlib.util
import inspect
import pathlib
import re

import pytest

import keras_smskd as smskd
from benchmarks.every_method import METHODS
from keras_smskd import callbacks, ops, projectors

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FILES = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
PAGE_OF_KIND = {"response": "outputs", "feature": "features", "relation": "relations"}

spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
hooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hooks)


def directives(path):
    """What mkdocstrings documents on a page."""
    return re.findall(r"(?m)^::: (\S+)$", path.read_text())


DOCUMENTED = {name: path.stem for path in PAGES for name in directives(path)}


def public():
    names = [f"keras_smskd.{name}" for name in smskd.__all__ if name not in ("__version__", "callbacks")]
    names += [f"keras_smskd.callbacks.{name}" for name in callbacks.__all__]
    # What the `__init__` says: KerasTuner may be missing.
    names += [f"keras_smskd.search.{name}" for name in listed(ROOT / "keras_smskd" / "search" / "__init__.py")]
    names += [f"keras_smskd.projectors.{name}" for name in functions_of(projectors)]
    return names


def listed(path):
    return re.findall(r'"(\w+)"', re.search(r"__all__ = \[(.*?)\]", path.read_text(), re.DOTALL)[1])


def functions_of(module):
    """The public functions that a module defines."""
    functions = inspect.getmembers(module, inspect.isfunction)
    return [name for name, function in functions if function.__module__ == module.__name__ and name[0] != "_"]


@pytest.mark.parametrize("name", public())
def test_every_public_name_is_on_a_page(name):
    assert name in DOCUMENTED


def test_the_tensor_maths_is_documented_as_a_whole():
    assert DOCUMENTED["keras_smskd.ops"] == "ops"
    assert all(inspect.getdoc(getattr(ops, name)) for name in functions_of(ops))


def test_the_version_is_on_a_page():
    assert "`keras_smskd.__version__`" in (DOCS / "api" / "sequences.md").read_text()


@pytest.mark.parametrize("acronym", METHODS)
def test_a_method_is_on_the_page_of_its_kind(acronym):
    name = f"{acronym}Distiller"
    assert DOCUMENTED[f"keras_smskd.{name}"] == PAGE_OF_KIND[getattr(smskd, name).kind]


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if "search" not in name])
def test_what_is_documented_exists(name):
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


def test_every_page_is_in_the_navigation_once():
    navigation = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]
    pages = [str(path.relative_to(DOCS)) for path in PAGES]
    assert sorted(re.findall(r"(?m): (\S+\.md)$", navigation)) == sorted([*pages, *hooks.OUTSIDE.values()])


def test_files_that_become_pages_exist():
    assert [source for source in hooks.OUTSIDE if not (ROOT / source).is_file()] == []


def prose(path):
    """A page without its code."""
    return re.sub(r"(?ms)^```.*?^```$", "", path.read_text())


def anchors(path):
    """The anchors of a page on the site, and those of GitHub; both are to be."""
    headings = [re.sub(r"[`*]", "", heading) for heading in re.findall(r"(?m)^#+ (.+)$", prose(path))]
    words = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    site, github = ({re.sub(space, "-", word) for word in words} for space in (r"[-\s]+", r"\s"))
    return (site & github) | set(directives(path))


def links(path):
    targets = re.findall(r"(?<!\\)\]\(([^)\s]+)\)", prose(path))
    return [target for target in targets if not re.match(r"https?://", target)]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_links_and_anchors_lead_somewhere(path):
    for link in links(path):
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.is_file(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("path", PAGES, ids=[str(path.relative_to(DOCS)) for path in PAGES])
def test_the_site_has_what_its_pages_link_to(path):
    outside = {(ROOT / source).resolve() for source in hooks.OUTSIDE}
    for link in links(path):
        target = link.partition("#")[0]
        file = (path.parent / target).resolve() if target else path
        assert file.is_relative_to(DOCS) or file in outside, link


def test_the_hooks_turn_links_of_files_into_links_of_the_site():
    pages = "[a](../CONTRIBUTING.md#style), [b](CHANGELOG.md), [c](../examples/quickstart.py), [d](methods.md)"
    expected = "[a](contributing.md#style), [b](changelog.md), [c](quickstart.md), [d](methods.md)"
    assert hooks.on_page_markdown(pages, page=None) == expected
    assert "](docs/" not in hooks.page_of("CONTRIBUTING.md")


def test_the_hooks_lead_from_tutorials_to_the_site():
    main = "https://github.com/someone/else/blob/main"
    text = (
        f"({main}/docs/methods.md#kd) ({main}/docs/tensorboard.png?raw=true) ({main}/examples/notebooks/features.ipynb)"
    )
    assert hooks.led_to_site(text) == "(../methods.md#kd) (../tensorboard.png) (../tutorials/features.md)"
    assert hooks.led_to_site(f"{main}/README.md#install") == f"{main}/README.md#install"


def test_the_drawing_has_all_colours_for_light_and_dark():
    drawing = (DOCS / "pipeline.svg").read_text()
    dark = re.search(r"prefers-color-scheme: dark\) \{(.*?)\}\s*\}", drawing, re.DOTALL)[1]
    schemes = [line for line in (DOCS / "site.css").read_text().splitlines() if "color-scheme" in line]
    assert len(schemes) == 2
    for colours in (dark, *schemes):
        assert set(re.findall(r"(--[\w-]+):", colours)) == set(re.findall(r"var\((--[\w-]+)\)", drawing))
