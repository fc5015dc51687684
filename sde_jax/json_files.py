"""The one reader of JSON: text of any kind becomes a value or one line about it."""

import json
from pathlib import Path
from typing import Any

LARGEST_FILE = 2**28
"""Bytes of the largest file that is read."""

DEEPEST = 64
"""Levels of lists and objects within each other; files of this package have ten at most."""


class DamagedFileError(ValueError):
    """A file has another content than its name or place promises; the message names the file."""


def read_json(path: Path) -> Any:
    """Returns the value in a file.

    Raises:
      DamagedFileError: if it is not JSON, too large, or nested too deeply.
      OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise DamagedFileError(f"{path} is damaged: it has more than {LARGEST_FILE:,} bytes")
    try:
        return parse_json(content)
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from None


def parse_json(text: str | bytes) -> Any:
    """Returns the value of a text.

    Raises:
      ValueError: if it is not JSON, or nested too deeply.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    parts = [value]
    for _ in range(DEEPEST):
        parts = [inner for part in parts for inner in items(part)]
        if not parts:
            return value
    raise ValueError("its JSON is nested too deeply")


def items(part: Any) -> list[Any]:
    """Returns the values of an object or a list."""
    if isinstance(part, dict):
        return list(part.values())
    return part if isinstance(part, list) else []
