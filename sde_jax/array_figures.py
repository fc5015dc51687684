"""Figures of examples in the data's own coordinates, whatever their shape."""

import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sde_jax.figures import COLOURS, image_grid, literal, point_frames, save_figure

MOST_PANELS = 24
SHOWN = 8
"""Number of examples drawn."""
BINS = 40


def draw_picture(samples: np.ndarray, title: str, path: pathlib.Path) -> None:
    """Draws samples: images in [0, 1] in a grid, points in the plane, others by `arrays`."""
    if samples.shape[1:] == (2,):
        point_frames({title: [(0.0, samples)]}, path)
    elif is_images(samples):
        image_grid(samples, path)
    else:
        arrays({title: samples}, path)


def is_images(samples: np.ndarray) -> bool:
    """Says whether all values are those of images; a value that is not finite may be any."""
    if samples.ndim != 4 or samples.shape[-1] not in (1, 3):
        return False
    finite = samples[np.isfinite(samples)]
    return bool(np.all((finite >= 0) & (finite <= 1)))


def arrays(
    sets: Mapping[str, np.ndarray], path: pathlib.Path, *, names: Sequence[str] | None = None
) -> None:
    """Plots histograms of the channels of arrays, and some examples that have a shape.

    Args:
      sets: arrays ``[count, *shape, channels]`` by their title, of one shape but for the count;
        examples are those of the first.
      path: the file to write.
      names: names of the channels; None for their numbers.
    """
    first = next(iter(sets.values()))
    channels = min(first.shape[-1], MOST_PANELS)
    columns = min(channels, 6) if first.ndim == 2 else SHOWN // 2
    rows = 0 if first.ndim == 2 else 2
    marginal_rows = math.ceil(channels / columns)
    size = (2.1 * columns, 1.75 * (rows + marginal_rows))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows + marginal_rows, columns, squeeze=False)
    for place, axes in enumerate(panels[:rows].ravel()):
        _example(axes, first[place] if place < len(first) else None)
    for channel, axes in enumerate(panels[rows:].ravel()):
        if channel >= channels:
            axes.set_visible(False)
            continue
        name = f"channel {channel}" if names is None else names[channel]
        _marginal(axes, {title: values[..., channel] for title, values in sets.items()}, name)
    if len(sets) > 1:
        handles = panels[rows, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper right", frameon=False, fontsize=7)
    save_figure(figure, path)


def _marginal(axes: Axes, values: Mapping[str, np.ndarray], name: str) -> None:
    flat = {title: array.ravel()[np.isfinite(array.ravel())] for title, array in values.items()}
    together = np.concatenate([*flat.values()])
    edges = np.histogram_bin_edges(together, BINS) if together.size else np.linspace(0, 1, 2)
    for (title, numbers), colour in zip(flat.items(), COLOURS, strict=False):
        axes.hist(numbers, edges.tolist(), density=True, color=colour, histtype="step", label=title)
    axes.set_title(literal(name), fontsize=8)
    axes.set_yticks([])
    axes.tick_params(labelsize=6)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _example(axes: Axes, example: np.ndarray | None) -> None:
    """Draws one example: channels over one axis, an image, or the middle slice of a volume."""
    axes.tick_params(labelsize=6)
    if example is None:
        axes.set_visible(False)
        return
    while example.ndim > 3:
        example = example[len(example) // 2]
    if example.ndim == 2:
        for channel, colour in zip(example.T, COLOURS, strict=False):
            axes.plot(channel, color=colour, lw=0.8, marker="." if len(channel) == 1 else "")
        axes.spines[["top", "right"]].set_visible(False)
        return
    axes.imshow(example[..., 0], cmap="viridis", aspect="equal")
    axes.set(xticks=[], yticks=[])
