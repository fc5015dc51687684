"""Storage of slowly computed rows in pieces: a kill loses only the last piece."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.atomic import whole_file
from sde_jax.numpy_files import Arrays, ArraysError
from sde_jax.training.processes import of_first

Columns = Mapping[str, np.ndarray]
"""Arrays with one row for each example."""


def load_or_compute(folder: Path, compute: Callable[[int], Iterator[Columns]]) -> Columns:
    """Returns the columns of all rows: reads stored pieces, then computes and stores the others.

    Every process must call this and compute the same. The first one writes, where all can read.

    Args:
      folder: the folder of these rows alone; the name of a piece is the number of its first row.
      compute: yields pieces, none empty, from the row of a given number on.

    Raises:
      OSError: if a piece cannot be written.
    """
    pieces = list(_read(folder))[: of_first(lambda: len(list(_read(folder))))]
    rows = sum(map(_rows, pieces))
    for piece in compute(rows):
        of_first(lambda piece=piece, rows=rows: _write(_path(folder, rows), piece))
        pieces.append(piece)
        rows += _rows(piece)
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _write(path: Path, piece: Columns) -> None:
    arrays: dict[str, Any] = dict(piece)
    with whole_file(path) as file:
        np.savez(file, **arrays)


def _read(folder: Path) -> Iterator[Columns]:
    """Yields the stored pieces up to the first that is missing or damaged."""
    rows = 0
    while _path(folder, rows).is_file():
        try:
            with Arrays(_path(folder, rows)) as file:
                piece = dict(file)
        except (OSError, ArraysError):
            return
        yield piece
        rows += _rows(piece)


def _rows(piece: Columns) -> int:
    return len(next(iter(piece.values())))


def _path(folder: Path, first: int) -> Path:
    return folder / f"{first:08}.npz"
