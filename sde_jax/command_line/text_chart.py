"""Line charts in plain text."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

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
    columns = {name: column_means(points, series, width) for name, points in series.items()}
    values = [value for means in columns.values() for value in means.values()]
    if not values:
        return []
    low, high = min(values), max(values)
    scale = math.log if low > 0 else float
    extent = scale(high) - scale(low)
    rows = [[" "] * width for _ in range(height)]
    for means, mark in zip(columns.values(), MARKS, strict=False):
        for column, value in means.items():
            fraction = (scale(high) - scale(value)) / extent if extent else 0.5
            rows[round(fraction * (height - 1))][column] = mark
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]
    margin = max(map(len, labels))
    first, final = (f"{x:,.0f}" for x in ends(series))
    legend = ", ".join(f"{mark} {name}" for name, mark in zip(series, MARKS, strict=False))
    return [
        *(f"{label:>{margin}} |{''.join(row)}" for label, row in zip(labels, rows, strict=True)),
        f"{'':{margin}} +{'-' * width}",
        f"{'':{margin}}  {first}{legend:^{max(0, width - len(first) - len(final))}}{final}",
    ]


def ends(series: Mapping[str, Sequence[tuple[float, float]]]) -> tuple[float, float]:
    """Returns the smallest and the largest x of all points."""
    positions = [x for points in series.values() for x, _ in points]
    return min(positions), max(positions)


def column_means(
    points: Sequence[tuple[float, float]],
    series: Mapping[str, Sequence[tuple[float, float]]],
    width: int,
) -> dict[int, float]:
    """Returns the mean of the finite points in each column that has any."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if not finite:
        return {}
    first, final = ends(series)
    columns: dict[int, list[float]] = {}
    for x, y in finite:
        fraction = (x - first) / (final - first) if final > first else 0.0
        columns.setdefault(round(fraction * (width - 1)), []).append(y)
    return {column: float(np.mean(values)) for column, values in columns.items()}
