"""Exact nearest neighbours among many rows, searched on the device."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Int

ROWS = 1024
"""Query rows per search."""
TILE = 4096
"""Rows of the set per search."""
SPARE = 16
"""Extra candidates, which show whether float32 rounding could have lost a neighbour."""
NUMBERS = 2**24
"""Numbers of the set held at once, on the device and in float64 on the host."""

Rows = Float[np.ndarray, "count *shape"]


class Nearest(NamedTuple):
    """The nearest rows of a set for each query row, nearest first."""

    distances: Float[np.ndarray, "count k"]
    """Euclidean distances, in float64."""
    indices: Int[np.ndarray, "count k"]
    """Indices in the set; ties are in increasing order."""

    def closest(self, count: int) -> Int[np.ndarray, "count"]:
        """Returns the ``count`` query rows closest to the set, nearest first."""
        return np.argsort(self.distances[:, 0], kind="stable")[:count]


def nearest_neighbours(rows: Rows, among: Rows, k: int = 1) -> Nearest:
    """Returns the ``k`` nearest rows of a set for each query row.

    Squared distances are computed tile by tile on the device in float32. Those of the candidates
    are recomputed in float64 from differences. If rounding could have lost a neighbour of a row,
    all its distances are recomputed. Inputs are rounded to float32.

    Args:
      rows: the queries, numbers of any shape, ``[count, *shape]``.
      among: the set, of the same ``shape``.
      k: number of neighbours.

    Raises:
      ValueError: if the shapes differ, numbers are not finite, or the set has fewer than ``k``
        rows.
    """
    x, y = (_flat(numbers) for numbers in (rows, among))
    if np.shape(rows)[1:] != np.shape(among)[1:]:
        raise ValueError(
            f"rows must be of one shape: got {np.shape(rows)[1:]} and {np.shape(among)[1:]}"
        )
    if not 1 <= k <= len(y):
        raise ValueError(f"`k` must be in 1..{len(y)}, the size of the set: got {k}")
    centre = y.mean(axis=0, dtype=np.float64).astype(np.float32)
    radius = max(float(np.linalg.norm(tile, axis=1).max()) for _, tile in _tiles(y, centre))
    parts = [
        _of_some(x[first : first + ROWS], y, centre, radius, k) for first in range(0, len(x), ROWS)
    ]
    return Nearest(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _flat(numbers: Rows) -> np.ndarray:
    x = np.asarray(numbers, np.float32)
    if x.ndim < 2 or not x.size:
        raise ValueError(f"rows must be [count, *shape] and not empty: got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("rows must be finite: got NaN or infinity")
    return x.reshape(len(x), -1)


def _of_some(x: np.ndarray, y: np.ndarray, centre: np.ndarray, radius: float, k: int) -> Nearest:
    """Returns the neighbours of a few rows; the set lies within ``radius`` of the centre."""
    kept = min(k + SPARE, len(y))
    squares, candidates = _candidates(x - centre, y, centre, kept)
    found = _exact(x, y, candidates, k)
    if kept == len(y):
        return found
    unit = (x.shape[1] + 8) * np.finfo(np.float32).eps
    rounding = unit * (np.linalg.norm(x - centre, axis=1) + radius) ** 2
    lost = found.distances[:, -1] ** 2 >= squares[:, -1] - rounding
    for row in np.flatnonzero(lost):
        every = _exact(x[row : row + 1], y, np.arange(len(y))[None], k)
        found.distances[row], found.indices[row] = every.distances[0], every.indices[0]
    return found


def _tiles(y: np.ndarray, centre: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields centred tiles of rows, with the index of their first row."""
    size = max(1, min(TILE, len(y), NUMBERS // y.shape[1]))
    for first in range(0, len(y), size):
        yield first, y[first : first + size] - centre


def _candidates(
    centred: np.ndarray, y: np.ndarray, centre: np.ndarray, kept: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns approximate squared distances and indices of the ``kept`` nearest rows."""
    on_device = jnp.asarray(centred)
    best = (jnp.full((len(centred), kept), jnp.inf), jnp.zeros((len(centred), kept), jnp.int32))
    size = 0
    for first, tile in _tiles(y, centre):
        size = max(size, len(tile))
        padded = np.pad(tile, ((0, size - len(tile)), (0, 0)))
        best = _merge_tile(best, on_device, padded, first, len(tile))
    squares, indices = jax.device_get(best)
    return squares.astype(np.float64), indices


@functools.partial(jax.jit, donate_argnums=0)
def _merge_tile(
    best: tuple[Float[Array, "rows kept"], Int[Array, "rows kept"]],
    x: Float[Array, "rows dimension"],
    tile: Float[Array, "size dimension"],
    first: Int[Array, ""],
    count: Int[Array, ""],
) -> tuple[Float[Array, "rows kept"], Int[Array, "rows kept"]]:
    """Merges the best rows so far with the ``count`` rows of a tile that starts at row
    ``first``."""
    product = jnp.matmul(x, tile.T, precision=jax.lax.Precision.HIGHEST)
    squares = (x**2).sum(axis=1)[:, None] + (tile**2).sum(axis=1)[None] - 2 * product
    numbers = jnp.arange(len(tile))[None]
    squares = jnp.concatenate([best[0], jnp.where(numbers < count, squares, jnp.inf)], axis=1)
    indices = jnp.broadcast_to(first + numbers, product.shape)
    indices = jnp.concatenate([best[1], indices], axis=1)
    values, places = jax.lax.top_k(-squares, best[0].shape[1])
    return -values, jnp.take_along_axis(indices, places, axis=1)


def _exact(x: np.ndarray, y: np.ndarray, candidates: np.ndarray, k: int) -> Nearest:
    """Returns the nearest candidates of each row, by float64 distances."""
    squares = np.empty(candidates.size)
    step = max(1, NUMBERS // x.shape[1])
    for first in range(0, len(squares), step):
        pairs = np.arange(first, min(first + step, len(squares)))
        theirs = y[candidates.ravel()[pairs]].astype(np.float64)
        difference = theirs - x[pairs // candidates.shape[1]]
        squares[pairs] = np.einsum("pd,pd->p", difference, difference)
    distances = np.sqrt(squares.reshape(candidates.shape))
    order = np.lexsort((candidates, distances), axis=1)[:, :k]
    return Nearest(*(np.take_along_axis(x, order, axis=1) for x in (distances, candidates)))
