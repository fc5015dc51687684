"""Files that are whole or not there."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["TEMPORARY_SUFFIX", "whole_file", "write_json"]

TEMPORARY_SUFFIX = ".tmp"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when the block ends without an error.

    Readers, and a crash at any moment, see the old file or the new. One process at a time.

    Raises:
      OSError: if the disk is full or the folder is not writable; the old file is as it was.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes a small `whole_file`; one that holds the same already is left alone.

    That works on a full disk, too.

    Raises:
      OSError: as `whole_file`.
    """
    text = json.dumps(value, indent=2) + "\n"
    if path.is_file() and path.read_text() == text:
        return
    with whole_file(path) as file:
        file.write(text.encode())
