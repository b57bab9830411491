"""The directory of a search: one search at a time, and the same one whenever it goes on."""

import json
import pathlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keras_smskd.backup import files
from keras_smskd.backup.description import differences

DESCRIPTION = "search.json"


@contextmanager
def taken(directory: pathlib.Path | None) -> Iterator[pathlib.Path]:
    """Takes a directory for this process, a temporary one for None."""
    if directory is None:
        with tempfile.TemporaryDirectory() as path:
            yield pathlib.Path(path)
        return
    with files.lock(directory, "directory", "search"):
        yield directory


def check_same_search(directory: pathlib.Path, described: dict[str, Any]) -> None:
    """Raises if a directory holds another search."""
    file = directory / DESCRIPTION
    if not file.exists():
        return
    if changed := differences(json.loads(file.read_text()), described):
        raise ValueError(
            f"`directory` {str(directory)!r} holds another search: {'; '.join(changed[:5])}. Give this one a directory "
            "of its own, or begin anew with `resume=False`."
        )


def describe_in(directory: pathlib.Path, described: dict[str, Any]) -> None:
    """Writes what the search is."""
    files.write_text(directory / DESCRIPTION, json.dumps(described, indent=1) + "\n", "directory")
