"""Files that are written whole or not at all, in directories that one process has at a time."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import filelock


def lock(directory: pathlib.Path, argument: str, what: str) -> filelock.BaseFileLock:
    """Takes a directory for this process; the system lets go of it however the process ends.

    Args:
        directory: The directory.
        argument: Name of the argument that it was given as.
        what: What writes there, such as "run".

    Raises:
        RuntimeError: If another process has it.
        OSError: If it cannot be used.
    """
    taken = filelock.FileLock(directory / ".lock")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        taken.acquire(blocking=False)
    except filelock.Timeout:
        raise RuntimeError(
            f"Another {what} is writing to `{argument}` {str(directory)!r}. Wait for its end, or give each {what} a "
            "directory of its own."
        ) from None
    except OSError as error:
        raise OSError(error.errno, f"`{argument}` cannot be used ({error.strerror})", str(directory)) from error
    return taken


def write(file: pathlib.Path, content: Callable[[pathlib.Path], Any], argument: str = "backup_dir") -> None:
    """Writes a file. Killed at any moment, or without room on the disk, the file that was there before stands.

    Args:
        file: The file.
        content: Writes the content to a path, whose name ends as that of the file.
        argument: Name of the argument that the directory was given as.

    Raises:
        OSError: If it cannot be written, naming file and reason.
    """
    part = file.with_name(f".part.{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        content(part)
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(file)
        _sync_names(file.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"`{argument}` cannot be written ({error.strerror or error}). What it held before stands: once it can be "
            "written, start the same script again to go on",
            str(file),
        ) from error
    finally:
        part.unlink(missing_ok=True)


def write_text(file: pathlib.Path, text: str, argument: str = "backup_dir") -> None:
    """Writes a text, as `write` does."""
    write(file, lambda part: part.write_bytes(text.encode()), argument)


def _sync_names(directory: pathlib.Path) -> None:
    """Brings the names in a directory to the disk, where the system can do that."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
