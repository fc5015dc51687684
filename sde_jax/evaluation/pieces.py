"""Rows that take long to make, kept in files, so that a kill loses but the last of them."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.atomic import whole_file

__all__ = ["Columns", "kept"]

Columns = Mapping[str, np.ndarray]
"""Arrays of one row for each example."""


def kept(folder: Path, make: Callable[[int], Iterator[Columns]]) -> Columns:
    """The columns of all rows, of which ``folder`` keeps each piece as soon as it is made.

    Args:
      folder: of this kind of rows made in this way alone; a piece is named by its first row.
      make: the pieces from the row of this number on, none empty.

    Raises:
      OSError: if a piece cannot be written.
    """
    pieces = list(_read(folder))
    rows = sum(map(_rows, pieces))
    for piece in make(rows):
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = dict(piece)
        with whole_file(_path(folder, rows)) as file:
            np.savez(file, **arrays)
        pieces.append(piece)
        rows += _rows(piece)
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _read(folder: Path) -> Iterator[Columns]:
    """The pieces that are there, up to the first that is missing or cannot be read."""
    rows = 0
    while _path(folder, rows).is_file():
        try:
            with _path(folder, rows).open("rb") as opened, np.load(opened) as file:
                piece = dict(file)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return
        yield piece
        rows += _rows(piece)


def _rows(piece: Columns) -> int:
    return len(next(iter(piece.values())))


def _path(folder: Path, first: int) -> Path:
    return folder / f"{first:08}.npz"
