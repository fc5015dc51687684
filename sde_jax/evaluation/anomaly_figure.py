"""A figure of the likelihoods of several sets."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sde_jax.evaluation.wording import with_error
from sde_jax.figures import COLOURS, literal, save_figure
from sde_jax.metrics import roc_area, roc_curve

BINS = 40
LONGEST_NAME = 24
WIDE = 8
"""Ratio of the largest to the smallest number above which an axis is logarithmic."""


def draw(
    own: np.ndarray, others: Mapping[str, np.ndarray], path: Path, *, title: str, unit: str
) -> None:
    """Draws histograms of all sets, and the ROC curve of each other set against ``own``.

    Args:
      own: bits per dimension of held-out images.
      others: bits per dimension of each other set, by its name.
      path: the .png file.
      title: title of the figure.
      unit: label of the numbers.
    """
    figure = Figure(figsize=(9.2, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    figure.suptitle(literal(title))
    draw_histograms(left, {"held out": own, **others}, unit)
    draw_curves(right, own, others)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", frameon=False)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", frameon=False)
    save_figure(figure, path)


def short(name: str) -> str:
    """Returns the end of a long name, as the text of a figure."""
    return literal(name if len(name) <= LONGEST_NAME else f"...{name[3 - LONGEST_NAME :]}")


def draw_histograms(axes: Axes, sets: Mapping[str, np.ndarray], unit: str) -> None:
    """Draws the shares of each set in common bins, on a logarithmic axis if the range is wide."""
    everything = np.concatenate(list(sets.values()))
    low, high = everything.min(), everything.max()
    spread = low > 0 and high > WIDE * low
    edges = np.geomspace(low, high, BINS + 1) if spread else np.linspace(low, high, BINS + 1)
    for (name, bits), colour in zip(sets.items(), COLOURS, strict=False):
        shares = np.full(len(bits), 1 / len(bits))
        axes.hist(bits, edges.tolist(), weights=shares, color=colour, alpha=0.25)
        axes.hist(
            bits,
            edges.tolist(),
            weights=shares,
            color=colour,
            histtype="step",
            lw=1.6,
            label=f"{short(name)}: mean {bits.mean():.2f}",
        )
    if spread:
        axes.set_xscale("log")
    axes.set(title="Likelihood of each image", xlabel=unit, ylabel="share of the set's images")


def draw_curves(axes: Axes, own: np.ndarray, others: Mapping[str, np.ndarray]) -> None:
    """Draws the ROC curves of the other sets in the colours of their histograms."""
    axes.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--")
    for (name, bits), colour in zip(others.items(), COLOURS[1:], strict=False):
        curve, area = roc_curve(bits, own), roc_area(bits, own)
        known = area.stderr if math.isfinite(area.stderr) else None
        axes.plot(
            curve.false_positive_rate,
            curve.true_positive_rate,
            color=colour,
            lw=1.6,
            label=f"{short(name)}: AUC {with_error(area.value, known)}",
        )
    axes.set(
        title="Detection of anomalies",
        xlabel="false positive rate (held-out images)",
        ylabel="true positive rate (anomalies)",
        aspect="equal",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
