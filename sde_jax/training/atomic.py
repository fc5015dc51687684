"""Small JSON files that are whole or not there."""

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["TEMPORARY_SUFFIX", "write_json"]

TEMPORARY_SUFFIX = ".tmp"


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` so that readers, and a crash at any moment, see the old file or the new.

    A file that holds the same already is left alone: that works on a full disk, too.

    Raises:
      OSError: if the disk is full or the folder is not writable; the old file is as it was.
    """
    text = json.dumps(value, indent=2) + "\n"
    if path.is_file() and path.read_text() == text:
        return
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
