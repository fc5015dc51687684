"""Figures of posteriors: classifier two-sample tests, and calibration."""

import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binom

from sde_jax.figures import COLOURS, literal, save_figure
from sde_jax.metrics import Calibration, Estimate

BAND = 0.99
"""Probability of the band around uniform ranks, for each bin."""


def two_sample_accuracies(
    methods: Mapping[str, Sequence[Estimate]], path: pathlib.Path, *, names: Sequence[str] = ()
) -> None:
    """Plots the accuracies of classifiers for several observations, with two standard errors.

    Args:
      methods: the accuracies of each method, in the order of the observations.
      path: the file to write.
      names: names of the observations; by default their numbers from 1.
    """
    count = max(map(len, methods.values()))
    figure = Figure(figsize=(6.0, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.axhline(0.5, color="black", lw=0.8)
    shifts = np.linspace(-0.2, 0.2, len(methods)) if len(methods) > 1 else np.zeros(1)
    for shift, (method, found), colour in zip(shifts, methods.items(), COLOURS, strict=False):
        values = np.array([[one.value, 2 * one.stderr] for one in found]).T
        places = 1 + np.arange(len(found)) + shift
        axes.errorbar(places, *values, color=colour, fmt="o", ms=3.5, lw=1.2, label=literal(method))
    axes.set(xlabel="observation", ylabel="accuracy of the classifier")
    axes.set_xticks(range(1, count + 1), [*names] or None)
    axes.legend(frameon=False)
    save_figure(figure, path)


def rank_histograms(
    calibration: Calibration, path: pathlib.Path, *, names: Sequence[str] | None = None
) -> None:
    """Plots the ranks of each parameter over the band that 99% of uniform ranks fall in, and the
    coverage of central intervals over their credibility.

    Args:
      calibration: the ranks.
      path: the file to write.
      names: names of the parameters; None for their numbers.
    """
    found, expected = calibration.histogram()
    columns = min(len(found) + 1, 4)
    rows = math.ceil((len(found) + 1) / columns)
    figure = Figure(figsize=(2.2 * columns, 1.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    count = len(calibration.ranks)
    low, high = binom.interval(BAND, count, expected / count)
    edges = np.linspace(0, 1, len(expected) + 1)
    for parameter, (axes, counts) in enumerate(zip(panels, found, strict=False)):
        axes.stairs(high, edges, baseline=low, fill=True, color="#dddddd")
        axes.stairs(counts, edges, color=COLOURS[0], lw=1.4)
        name = f"parameter {parameter}" if names is None else names[parameter]
        axes.set_title(literal(name), fontsize=8)
        axes.set_ylim(bottom=0)
    levels = np.linspace(0, 1, 41)
    shares = np.array([calibration.coverage(level)[:2] for level in levels])
    axes = panels[len(found)]
    axes.plot([0, 1], [0, 1], color="black", lw=0.8)
    axes.errorbar(levels, shares[:, 0], 2 * shares[:, 1], color=COLOURS[1], lw=1.2)
    axes.set_title("coverage", fontsize=8)
    for axes in panels:
        axes.tick_params(labelsize=6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(found) + 1 :]:
        axes.set_visible(False)
    save_figure(figure, path)
