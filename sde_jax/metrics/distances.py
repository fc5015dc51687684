"""The largest distance within a set of points."""

import numpy as np

from sde_jax.arrays import Float

BLOCK = 512


def largest_distance(points: Float[np.ndarray, "count dimension"]) -> float:
    """Returns ``max_ij |points_i - points_j|`` of points of any numeric type, on the host.

    The search runs in float32 over blocks of rows; the distance of the pair is computed in float64.
    Song and Ermon 2020 (arXiv:2006.09011, technique 1) use it as the largest noise level.
    """
    centre = points.mean(axis=0, dtype=np.float64, keepdims=True)

    def block(first: int) -> np.ndarray:
        return (points[first : first + BLOCK] - centre).astype(np.float32)

    starts = range(0, len(points), BLOCK)
    best, pair = -1.0, (0, 0)
    for i in starts:
        rows = block(i)
        for j in range(i, len(points), BLOCK):
            columns = block(j)
            norms = np.sum(rows**2, axis=1)[:, None] + np.sum(columns**2, axis=1)[None]
            squares = norms - 2 * rows @ columns.T
            place = int(squares.argmax())
            if squares.flat[place] > best:
                best = float(squares.flat[place])
                row, column = divmod(place, len(columns))
                pair = (i + row, j + column)
    first, second = (points[index].astype(np.float64) for index in pair)
    return float(np.linalg.norm(first - second))
