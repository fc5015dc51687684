"""Atomic writes of whole files."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

TEMPORARY_SUFFIX = ".tmp"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a file that replaces ``path`` when the block ends without an error.

    Readers, and a crash at any moment, see the old file or the new one. Only one process at a time
    may write a file. Its folder is made, and deleted again if the block fails.

    Raises:
      OSError: if the disk is full or the folder is not writable; the old file is unchanged.
    """
    with _replacing(path) as temporary, temporary.open("wb") as file:
        yield file


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Writes ``path`` as `whole_file` does, by a function of the temporary file's path."""
    with _replacing(path) as temporary:
        write(temporary)


def encoded(text: str) -> bytes:
    """Encodes a text for a file; what UTF-8 lacks, as some names of files have, is escaped."""
    return text.encode(errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Writes JSON as `whole_file` does; an unchanged file is not written, even on a full disk."""
    text = (json.dumps(value, indent=2) + "\n").encode()
    if path.is_file() and path.read_bytes() == text:
        return
    with whole_file(path) as file:
        file.write(text)


@contextlib.contextmanager
def new_folders(path: Path) -> Iterator[None]:
    """Makes the folder ``path``; if the block fails, the folders that it made are deleted.

    Folders that hold anything stay.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    with new_folders(path.parent):
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            if isinstance(error, OSError) and error.filename in (None, str(temporary)):
                error.filename = str(path)
            raise
