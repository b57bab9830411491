"""The tutorials as they are saved: executed in order, without errors, with outputs that are fit to be shown."""

import ast
import json
import re
import subprocess
import sys

import pytest

from examples import run_notebooks
from tests.project.test_docs_site import anchors

ROOT = run_notebooks.FOLDER.parent.parent
PATHS = sorted(run_notebooks.FOLDER.glob("*.ipynb"))
SHOWN = {"print", "show", "summary", "figure"}
"""Functions after which a cell has an output."""

notebooks = pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])


def cells(path, cell_type="code"):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == cell_type]


def source(cell):
    return "".join(cell["source"])


def is_skipped(cell):
    return "skip-execution" in cell["metadata"].get("tags", [])


def executed(path):
    return [cell for cell in cells(path) if not is_skipped(cell)]


def texts(path):
    """All that the outputs say, images left out."""
    for cell in cells(path):
        for output in cell["outputs"]:
            yield "".join(output.get("text", ""))
            yield from ("".join(text) for kind, text in output.get("data", {}).items() if kind.startswith("text"))


def shows(cell):
    """Whether a cell has an output, wherever it is run: it prints outside of its functions, or ends in a value."""
    statements = ast.parse(re.sub(r"^(\s*)%.*", r"\1pass", source(cell), flags=re.MULTILINE)).body
    if isinstance(statements[-1], ast.Expr) and not isinstance(statements[-1].value, ast.Call):
        return True
    at_top = [each for each in statements if not isinstance(each, ast.FunctionDef | ast.ClassDef | ast.If)]
    calls = [node.func for each in at_top for node in ast.walk(each) if isinstance(node, ast.Call)]
    return bool(SHOWN & {getattr(function, "attr", getattr(function, "id", None)) for function in calls})


def test_there_are_six():
    assert len(PATHS) == 6


@notebooks
def test_first_cells(path):
    badge = f"(https://colab.research.google.com/github/{run_notebooks.REPOSITORY}/blob/main/examples/notebooks/"
    assert f"{badge}{path.name})" in source(cells(path, "markdown")[0])
    install = source(cells(path)[0])
    assert 'if importlib.util.find_spec("keras_smskd") is None:\n    %pip install ' in install
    assert f"@ git+https://github.com/{run_notebooks.REPOSITORY}" in install


@notebooks
def test_links(path):
    """They lead to one repository, and to files that are there; the last cell says where to go on."""
    everything = path.read_text()
    assert {match[0] for match in run_notebooks.ADDRESS.finditer(everything)} <= {
        f"{host}/{run_notebooks.REPOSITORY}" for host in ("github", "github.com")
    }
    for file, anchor in re.findall(r"/blob/main/([\w./-]+)(?:#([\w-]+))?", everything):
        assert (ROOT / file).exists()
        assert not anchor or anchor in anchors(ROOT / file)
    last = json.loads(everything)["cells"][-1]
    assert source(last).startswith("## Where to go on\n")
    assert source(last).count("/blob/main/") >= 3


@notebooks
def test_it_was_executed_in_order(path):
    counts = [cell["execution_count"] for cell in executed(path)]
    assert counts == list(range(1, len(counts) + 1))
    assert all(cell["execution_count"] is None and not cell["outputs"] for cell in cells(path) if is_skipped(cell))


@notebooks
def test_outputs_are_saved(path):
    assert [source(cell) for cell in executed(path) if shows(cell) and not cell["outputs"]] == []
    assert any("image/png" in output.get("data", {}) for cell in cells(path) for output in cell["outputs"])


@notebooks
def test_outputs_are_clean(path):
    """No errors, no warnings, nothing of the machine they come from."""
    outputs = [output for cell in cells(path) for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    of_machine = re.compile(r"/(home|opt|root|tmp|usr|var|work|Users)/|[A-Z]:\\|https?://|localhost|\bWARNING\b|\x1b")
    assert [text for text in texts(path) if of_machine.search(text)] == []
    assert path.stat().st_size < 300_000


def assigned(source):
    exec(source, {}, names := {})
    return names


@notebooks
def test_it_has_a_short_form(path):
    """One cell says how much is trained; the short form has the same names and smaller values."""
    (cell,) = [cell for cell in cells(path) if "short" in cell["metadata"]]
    full, short = assigned(source(cell)), assigned(cell["metadata"]["short"])
    assert list(short) == list(full)
    assert all(0 < short[name] < full[name] for name in full)


@notebooks
def test_the_readme_names_it(path):
    assert f"](examples/notebooks/{path.name})" in (ROOT / "README.md").read_text()


def run(path, *arguments):
    command = [sys.executable, "-m", "examples.run_notebooks", *arguments]
    return subprocess.run([*command, str(path)], cwd=ROOT, capture_output=True, text=True, check=False)


def notebook(tmp_path, *sources, **metadata):
    path = tmp_path / "drawn.ipynb"
    empty = {"cell_type": "code", "metadata": metadata, "outputs": [], "execution_count": None}
    cells = [{**empty, "source": text, "id": f"c{index}"} for index, text in enumerate(sources)]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_an_error_fails(tmp_path):
    ended = run(notebook(tmp_path, "1 / 0"))
    assert ended.returncode
    assert "ZeroDivisionError" in ended.stderr


def test_outputs_are_written(tmp_path):
    path = notebook(tmp_path, "import sys\nprint(6 * 7)\nprint('to be left out', file=sys.stderr)")
    before = path.read_text()
    assert run(path).returncode == 0
    assert path.read_text() == before
    assert run(path, "--write").returncode == 0
    assert ["".join(output["text"]) for output in cells(path)[0]["outputs"]] == ["42\n"]


def test_the_short_form_is_executed_and_not_written(tmp_path):
    path = notebook(tmp_path, "raise RuntimeError('whole')", short="raise RuntimeError('short')")
    assert "'short'" in run(path, "--short").stderr
    assert "'whole'" in run(path).stderr
    assert run(path, "--short", "--write").returncode == 2


def test_addresses_are_written(tmp_path):
    path = notebook(tmp_path, "# https://github.com/someone/else/blob/main/README.md\n1 / 0")
    assert run(path, "--addresses").returncode == 0
    assert source(cells(path)[0]).startswith(f"# https://github.com/{run_notebooks.REPOSITORY}/blob/main/README.md")
