"""Line charts in plain text."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sde_jax.arrays import Float

MARKS = ".o+x"


def text_chart(
    series: Mapping[str, Sequence[tuple[float, float]]], *, width: int, height: int
) -> list[str]:
    """Draws points (x, y) as lines of ASCII characters; returns no line where no point is finite.

    A column shows the mean of a series' points in it. Later series are drawn over earlier ones. The
    vertical axis is logarithmic where all values are positive.

    Args:
      series: points by what to call them.
      width: of the plot in characters, without the labels of its axis.
      height: of the plot in lines, without axis and legend.
    """
    if not any(math.isfinite(y) for points in series.values() for _, y in points):
        return []
    positions = [x for points in series.values() for x, _ in points]
    ends = min(positions), max(positions)
    means = np.stack([column_means(points, *ends, width) for points in series.values()])
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    scale = np.log if low > 0 else np.asarray
    extent = scale(high) - scale(low)
    heights = (scale(high) - scale(means)) / extent if extent else 0.5 + 0 * means
    rows = np.full((height, width), " ")
    for fractions, mark in zip(heights, MARKS, strict=False):
        (columns,) = np.nonzero(np.isfinite(fractions))
        rows[np.rint(fractions[columns] * (height - 1)).astype(int), columns] = mark
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]
    margin = max(map(len, labels))
    first, final = (f"{x:,.0f}" for x in ends)
    legend = ", ".join(f"{mark} {name}" for name, mark in zip(series, MARKS, strict=False))
    return [
        *(f"{label:>{margin}} |{''.join(row)}" for label, row in zip(labels, rows, strict=True)),
        f"{'':{margin}} +{'-' * width}",
        f"{'':{margin}}  {first}{legend:^{max(0, width - len(first) - len(final))}}{final}",
    ]


def column_means(
    points: Sequence[tuple[float, float]], first: float, final: float, width: int
) -> Float[np.ndarray, "width"]:
    """Returns the mean of the finite points in each column, and NaN where there are none."""
    finite = [point for point in points if math.isfinite(point[1])]
    x, y = np.asarray(finite, float).reshape(-1, 2).T
    columns = np.rint((x - first) / ((final - first) or 1) * (width - 1)).astype(int)
    counts = np.bincount(columns, minlength=width)
    return np.bincount(columns, y, width) / np.where(counts, counts, np.nan)
