"""Executes the tutorials, each in a clean kernel and an empty directory; the first error ends it.

    python -m examples.run_notebooks                                            executes all and writes nothing
    python -m examples.run_notebooks examples/notebooks/features.ipynb --write  saves the outputs of one in its file
    python -m examples.run_notebooks --short                                    with few epochs: does every cell run?
    python -m examples.run_notebooks --addresses                                only writes the addresses in the files

It prints how long each took, in processor time of the kernel and its threads, and by the clock.
"""

import argparse
import os
import pathlib
import re
import tempfile
import time

import nbformat
from nbclient import NotebookClient

REPOSITORY = "keras-smskd/keras_smskd"
"""Where badges, install cells and links lead. After a change: `--addresses`."""

FOLDER = pathlib.Path(__file__).parent / "notebooks"
ADDRESS = re.compile(r"(github(?:\.com)?)/[\w.-]+/[\w-]+")


def addressed(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with the addresses of the repository."""
    for cell in notebook.cells:
        cell.source = ADDRESS.sub(rf"\1/{REPOSITORY}", cell.source)
    return notebook


def shortened(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with fewer epochs: those of the metadata of the cell that says how many."""
    for cell in notebook.cells:
        cell.source = cell.metadata.get("short", cell.source)
    return notebook


def execute(notebook: nbformat.NotebookNode) -> None:
    """Runs all cells in a new kernel, all but those with the tag `skip-execution`."""
    with tempfile.TemporaryDirectory() as directory:
        resources = {"metadata": {"path": directory}}
        NotebookClient(notebook, resources=resources, record_timing=False, coalesce_streams=True).execute()


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what libraries write to the standard error, and without what differs from run to run."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def processor_seconds() -> float:
    """The processor time of all processes that were started here and are over."""
    return os.times().children_user + os.times().children_system


def run(path: pathlib.Path, write: bool, short: bool) -> None:
    """Executes a notebook, and says how long it took."""
    notebook = addressed(nbformat.read(path, as_version=4))
    if short:
        notebook = shortened(notebook)
    start, processor = time.perf_counter(), processor_seconds()
    execute(notebook)
    seconds, processor = time.perf_counter() - start, processor_seconds() - processor
    print(f"{path.stem}: {processor:.0f} s of processor time, {seconds:.0f} s by the clock", flush=True)
    if write:
        nbformat.write(cleaned(notebook), path)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="notebooks; default: all tutorials")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--write", action="store_true", help="save the outputs in the files")
    form.add_argument("--short", action="store_true", help="train for few epochs")
    parser.add_argument("--addresses", action="store_true", help="execute nothing, only write the addresses")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for path in options.files or sorted(FOLDER.glob("*.ipynb")):
        if options.addresses:
            nbformat.write(addressed(nbformat.read(path, as_version=4)), path)
        else:
            run(path, options.write, options.short)


if __name__ == "__main__":
    main()
