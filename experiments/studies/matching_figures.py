"""Figures of a comparison of matchings: samples beside the data, and costs of gradients."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sde_jax import figures
from sde_jax.figures import COLOURS

IMAGES = 36
BINS = 60
DATA_COLOUR = "#7f7f7f"


def draw_samples(sets: Mapping[str, np.ndarray], path: Path) -> None:
    """Draws sets of samples side by side, the first of which are data: images, or points."""
    if next(iter(sets.values())).ndim == 2:
        draw_points(sets, path)
    else:
        figures.image_panel({title: x[:IMAGES] for title, x in sets.items()}, path)


def draw_points(sets: Mapping[str, np.ndarray], path: Path) -> None:
    """Draws points in the plane, and below them histograms of their distance from the origin.

    The last bin holds the points outside the picture.
    """
    distances = {title: np.linalg.norm(x, axis=1) for title, x in sets.items()}
    data = next(iter(distances.values()))
    extent = 1.3 * float(data.max())
    edges = np.linspace(0, extent, BINS + 1).tolist()
    figure = Figure(figsize=(2.9 * len(sets), 5.2), layout="constrained")
    upper, lower = figure.subplots(
        2, len(sets), squeeze=False, height_ratios=(1.5, 1), sharey="row"
    )
    colours = (DATA_COLOUR, *COLOURS)
    for above, below, title, colour in zip(upper, lower, sets, colours, strict=False):
        above.scatter(*sets[title].T, s=2.5, color=colour, alpha=0.5, lw=0, rasterized=True)
        above.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal", xlabel="$x_1$")
        above.set_title(title)
        below.hist(data, edges, density=True, color=DATA_COLOUR, alpha=0.4, label="held-out data")
        if title != next(iter(sets)):
            own = np.minimum(distances[title], extent)
            below.hist(own, edges, density=True, color=colour, histtype="step", lw=1.6, label=title)
        below.set(xlabel="distance from the origin")
        below.legend(frameon=False, fontsize=8, loc="upper left")
        below.spines[["top", "right"]].set_visible(False)
    upper[0].set_ylabel("$x_2$")
    lower[0].set_ylabel("density")
    figures.save_figure(figure, path)


def draw_gradients(
    noise: Mapping[str, Mapping[str, Any]], steps: Mapping[str, Mapping[str, Any]], path: Path
) -> None:
    """Draws the variance of gradients at each time and over all times, and the time of a step.

    Args:
      noise: for each method, ``times_variance`` and ``times_variance_at`` with their errors.
      steps: for each method, ``times`` with its quartiles.
      path: the file to write.
    """
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(2.2, 1, 1))
    yardstick = next(iter(noise))
    for (title, found), colour in zip(noise.items(), COLOURS, strict=False):
        at = found["times_variance_at"]
        times, values, errors = (
            [np.nan if point[name] is None else point[name] for point in at]
            for name in ("t", "value", "stderr")
        )
        left.errorbar(times, values, errors, color=colour, marker="o", ms=4, capsize=3, label=title)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="time t of all examples of a batch",
        ylabel=f"variance, over that of {yardstick} at all t",
        title="Where the noise of the gradient is",
    )
    left.legend(frameon=False)
    left.grid(alpha=0.25)
    variances = {
        title: (found["times_variance"]["value"], *2 * [found["times_variance"]["stderr"] or 0.0])
        for title, found in noise.items()
    }
    bars(middle, variances, title="Variance of the gradient")
    times_of = {title: found["times"] for title, found in steps.items()}
    spreads = {
        title: (x["value"], x["value"] - x["low"], x["high"] - x["value"])
        for title, x in times_of.items()
    }
    bars(right, spreads, title="Time of a step")
    middle.set_ylabel(f"times that of {yardstick}")
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    figures.save_figure(figure, path)


def bars(axes: Axes, heights: Mapping[str, tuple[float, float, float]], *, title: str) -> None:
    """Draws a bar for each method, with its value and its error."""
    for place, ((value, low, high), colour) in enumerate(
        zip(heights.values(), COLOURS, strict=False)
    ):
        axes.bar(place, value, yerr=[[low], [high]], color=colour, alpha=0.8, capsize=4, width=0.6)
        axes.annotate(
            f"{value:.3g}", (place, value + high), (0, 4), textcoords="offset points", ha="center"
        )
    axes.set_title(title)
    axes.set_xticks(range(len(heights)), list(heights))
    axes.margins(y=0.12)
