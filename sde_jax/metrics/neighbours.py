"""Exact k-nearest-neighbour distances of features, also without each jackknife group."""

from collections.abc import Iterator

import numpy as np

from sde_jax.metrics.estimate import GROUPS

TILE = 2**24
"""Distances held at once."""


def distance_tiles(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields slices of rows of ``x`` and their squared distances from all of ``y``."""
    size = max(1, TILE // len(y))
    norms = (y**2).sum(axis=1)
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        part = x[rows]
        tile = (part**2).sum(axis=1, keepdims=True) + norms - 2 * (part @ y.T)
        yield rows, np.maximum(tile, 0)


def neighbour_distances(x: np.ndarray, y: np.ndarray | None, k: int) -> np.ndarray:
    """Returns squared distances to the ``k``-th nearest neighbours, ``[1 + GROUPS, count]``.

    The first row is over all of ``y``; the others leave out one group of ``y`` each.

    Args:
      x: the query rows.
      y: the rows to search; None for the other rows of ``x`` itself.
      k: 1 for the nearest. Without any one group, at least this many rows must remain.
    """
    others = x if y is None else y
    nearest = np.full((len(x), GROUPS, k), np.inf)
    for rows, tile in distance_tiles(x, others):
        if y is None:
            np.fill_diagonal(tile[:, rows], np.inf)
        for group in range(min(GROUPS, len(others))):
            part = tile[:, group::GROUPS]
            kept = min(k, part.shape[1])
            nearest[rows, group, :kept] = np.partition(part, kept - 1, axis=1)[:, :kept]

    def of_groups(groups: list[int]) -> np.ndarray:
        candidates = nearest[:, groups].reshape(len(x), -1)
        return np.partition(candidates, k - 1, axis=1)[:, k - 1]

    every = list(range(GROUPS))
    return np.stack([of_groups(every), *(of_groups(every[:g] + every[g + 1 :]) for g in every)])
