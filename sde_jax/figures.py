"""Figures of samples and of runs: each function takes arrays and a path and writes one file.

Files are written atomically. Image grids keep their pixels and are PNG files; plots have the format
of the path's suffix.
"""

import math
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import matplotlib
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from sde_jax.arrays import Array, Float
from sde_jax.atomic import encoded, whole_file

Images = Float[Array | np.ndarray, "count height width channels"]
FilePath = str | os.PathLike[str]
Points = Float[Array | np.ndarray, "count 2"]

COLOURS = ("#2f6db3", "#d9722e", "#3a9a5b", "#8a5ab5", "#7f7f7f")
TILE_PIXELS = 64
GAP_PIXELS = 4
MARGIN_PIXELS = 16
PANEL_FONT_SIZE = 24
FRAME_FONT_SIZE = 14


def image_grid(images: Images, path: FilePath, *, columns: int | None = None) -> None:
    """Draws ``images`` with values in [0, 1], row by row, in a grid that is square by default.

    Small images are enlarged by an integer factor, without smoothing, to at most 64 pixels. Values
    outside [0, 1] are clipped.

    Raises:
      ValueError: if ``images`` is not ``[count, height, width, channels]`` of 1 or 3 channels.
    """
    _save_image(_tiled(images, columns), path)


def image_panel(grids: Mapping[str, Images], path: FilePath, *, columns: int | None = None) -> None:
    """Draws several grids side by side, each as `image_grid` does, under their titles."""
    blocks = [(title, _tiled(images, columns)) for title, images in grids.items()]
    _save_image(_side_by_side(blocks, gap=2 * MARGIN_PIXELS, font_size=PANEL_FONT_SIZE), path)


def image_rows(
    columns: Mapping[str, Float[Array | np.ndarray, "count k height width channels"]],
    path: FilePath,
    *,
    names: Sequence[str] = (),
) -> None:
    """Draws one row per example: its name, if it has one, and for each title its k images."""
    blocks = [
        (title, _tiled(images.reshape(-1, *images.shape[2:]), images.shape[1]))
        for title, images in columns.items()
    ]
    if names:
        blocks.insert(0, ("", _named(names, blocks[0][1].height)))
    _save_image(_side_by_side(blocks, gap=MARGIN_PIXELS, font_size=FRAME_FONT_SIZE), path)


def trajectory(frames: Sequence[Images], times: Sequence[float], path: FilePath) -> None:
    """Draws the states of samples over time: one column per time, one row per sample."""
    blocks = [
        (f"t = {time:.2f}", _tiled(images, 1)) for time, images in zip(times, frames, strict=True)
    ]
    _save_image(_side_by_side(blocks, gap=-GAP_PIXELS, font_size=FRAME_FONT_SIZE), path)


def curves(
    metrics: Iterable[Mapping[str, float]],
    path: FilePath,
    *,
    series: Mapping[str, str],
    ylabel: str = "loss",
    xlabel: str = "step",
) -> None:
    """Plots metrics of a run, as in ``metrics.jsonl``, against the step.

    The vertical axis is logarithmic if all values are positive and span more than a factor of ten.

    Args:
      metrics: mappings with ``step`` and, in some of them, the names in ``series``.
      path: the file to write.
      series: the legend's label of each name.
      ylabel: label of the vertical axis.
      xlabel: label of the horizontal axis, which shows ``step``.
    """
    lines = list(metrics)
    figure, axes = _figure(6.0, 3.6)
    drawn = []
    for (name, label), colour in zip(series.items(), COLOURS, strict=False):
        known = [(line["step"], line[name]) for line in lines if name in line]
        if not known:
            continue
        steps, values = np.asarray(known, float).T
        marker = "o" if len(steps) <= 50 else ""
        axes.plot(steps, values, color=colour, label=label, lw=1.4, marker=marker, ms=3.5)
        drawn.append(values[np.isfinite(values)])
    everything = np.concatenate(drawn) if drawn else np.ones(1)
    if everything.size and everything.min() > 0 and everything.max() > 10 * everything.min():
        axes.set_yscale("log")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.25)
    if drawn:
        axes.legend(frameon=False)
    save_figure(figure, path)


def histogram(
    values: Mapping[str, Float[np.ndarray, "count"]],
    path: FilePath,
    *,
    xlabel: str,
    bins: int = 50,
) -> None:
    """Plots the densities of several samples of numbers over shared bins."""
    arrays = {label: np.asarray(numbers, float) for label, numbers in values.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(arrays.values())), bins).tolist()
    figure, axes = _figure(6.0, 3.6)
    for (label, numbers), colour in zip(arrays.items(), COLOURS, strict=False):
        axes.hist(numbers, edges, density=True, color=colour, alpha=0.25)
        axes.hist(numbers, edges, density=True, color=colour, histtype="step", lw=1.6, label=label)
    axes.set(xlabel=xlabel, ylabel="density")
    axes.legend(frameon=False)
    save_figure(figure, path)


def point_frames(rows: Mapping[str, Sequence[tuple[float, Points]]], path: FilePath) -> None:
    """Plots points in the plane: one row per process, one panel per time.

    Args:
      rows: maps the name of each process to pairs of a time and the points at that time.
      path: the file to write.
    """
    columns = max(len(frames) for frames in rows.values())
    extent = _extent(points for frames in rows.values() for _, points in frames)
    figure = Figure(figsize=(2.0 * columns + 0.4, 2.25 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for panels, (name, frames), colour in zip(grid, rows.items(), COLOURS, strict=False):
        for axes in panels[len(frames) :]:
            axes.set_visible(False)
        for axes, (time, points) in zip(panels, frames, strict=False):
            _scatter(axes, points, colour, extent, title=f"t = {time:.2f}")
        panels[0].set_ylabel(name)
    save_figure(figure, path)


def vector_field(
    score: Callable[[Float[Array, "cells 2"], Float[Array, ""]], Float[Array, "cells 2"]],
    frames: Sequence[tuple[float, Points]],
    path: FilePath,
) -> None:
    """Plots a score as arrows over points at the same time, one panel per time.

    Arrows show the direction. Their color shows the norm, on a logarithmic scale shared by all
    panels.

    Args:
      score: called with the cells of a 20x20 grid and one time.
      frames: pairs of a time and points distributed as the data at that time.
      path: the file to write.
    """
    extent = _extent(points for _, points in frames)
    side = np.linspace(-extent, extent, 22, dtype=np.float32)[1:-1]
    cells = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    fields = [np.asarray(score(jnp.asarray(cells), jnp.float32(time))) for time, _ in frames]
    lengths = [np.linalg.norm(field, axis=1) + np.finfo(np.float32).tiny for field in fields]
    norm = LogNorm(*np.quantile(lengths, [0.02, 0.98]), clip=True)
    figure = Figure(figsize=(2.8 * len(frames) + 0.9, 3.1), layout="constrained")
    panels = figure.subplots(1, len(frames), squeeze=False)[0]
    for axes, (time, points), field, length in zip(panels, frames, fields, lengths, strict=True):
        _scatter(axes, points, COLOURS[-1], extent, title=f"t = {time:.2f}")
        unit = (field / length[:, None]).T
        arrows = axes.quiver(
            *cells.T, *unit, length, norm=norm, cmap="viridis", width=0.006, scale=24, pivot="mid"
        )
    figure.colorbar(arrows, ax=panels, label="length of the score", pad=0.01)
    save_figure(figure, path)


def _tiled(images: Images, columns: int | None) -> PIL.Image.Image:
    """Arranges the enlarged images on white, in rows of ``columns``."""
    pixels = np.asarray(images, float)
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3) or not len(pixels):
        raise ValueError(
            f"`images` must be [count, height, width, 1 or 3 channels]: got shape {pixels.shape}"
        )
    pixels = np.rint(255 * np.clip(np.nan_to_num(pixels), 0, 1)).astype(np.uint8)
    columns = min(len(pixels), columns or math.ceil(math.sqrt(len(pixels))))
    factor = max(1, TILE_PIXELS // max(pixels.shape[1:3]))
    tiles = np.repeat(np.repeat(pixels, factor, axis=1), factor, axis=2)
    height, width = tiles.shape[1] + GAP_PIXELS, tiles.shape[2] + GAP_PIXELS
    rows = math.ceil(len(tiles) / columns)
    canvas = np.full((rows * height + GAP_PIXELS, columns * width + GAP_PIXELS, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * height + GAP_PIXELS, place % columns * width + GAP_PIXELS
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return PIL.Image.fromarray(canvas)


def _side_by_side(
    blocks: Sequence[tuple[str, PIL.Image.Image]], *, gap: int, font_size: int
) -> PIL.Image.Image:
    """Arranges the blocks from left to right, each centred under its title."""
    font = _font(font_size)
    widths = [max(block.width, math.ceil(font.getlength(title))) for title, block in blocks]
    top = MARGIN_PIXELS + 2 * font_size
    size = (
        2 * MARGIN_PIXELS + sum(widths) + gap * (len(blocks) - 1),
        top + max(block.height for _, block in blocks) + MARGIN_PIXELS,
    )
    canvas = PIL.Image.new("RGB", size, "white")
    draw = PIL.ImageDraw.Draw(canvas)
    left = MARGIN_PIXELS
    for (title, block), width in zip(blocks, widths, strict=True):
        middle = left + width // 2
        draw.text((middle, top - font_size // 2), title, fill="black", font=font, anchor="ms")
        canvas.paste(block, (middle - block.width // 2, top))
        left += width + gap
    return canvas


def _named(names: Sequence[str], height: int) -> PIL.Image.Image:
    """Writes names below one another, in rows that share the height equally."""
    font, row = _font(FRAME_FONT_SIZE), height / len(names)
    width = math.ceil(max(map(font.getlength, names)))
    canvas = PIL.Image.new("RGB", (width, height), "white")
    draw = PIL.ImageDraw.Draw(canvas)
    for place, name in enumerate(names):
        draw.text((width, (place + 0.5) * row), name, fill="black", font=font, anchor="rm")
    return canvas


def _font(size: int) -> PIL.ImageFont.FreeTypeFont:
    file = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return PIL.ImageFont.truetype(file, size)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _scatter(axes: Axes, points: Points, colour: str, extent: float, *, title: str) -> None:
    axes.scatter(*np.asarray(points).T, s=1.5, color=colour, alpha=0.5, lw=0, rasterized=True)
    axes.set(xlim=(-extent, extent), ylim=(-extent, extent), xticks=[], yticks=[], aspect="equal")
    axes.set_title(title, fontsize=10)


def _extent(frames: Iterable[Points]) -> float:
    """Returns half the side of a square with 99.9% of the finite coordinates, or 1."""
    coordinates = np.abs(np.concatenate([np.asarray(points).ravel() for points in frames]))
    finite = coordinates[np.isfinite(coordinates)]
    return 1.1 * float(np.quantile(finite, 0.999)) if finite.size else 1.0


def _save_image(image: PIL.Image.Image, path: FilePath) -> None:
    with whole_file(pathlib.Path(path)) as file:
        image.save(file, format="png")


def save_figure(figure: Figure, path: FilePath, *, dpi: float = 150, tight: bool = True) -> None:
    """Writes a figure in the format of the path's suffix, by default without wide margins."""
    suffix = pathlib.Path(path).suffix.removeprefix(".") or "png"
    margins: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.08} if tight else {}
    with whole_file(pathlib.Path(path)) as file:
        figure.savefig(file, format=suffix, dpi=dpi, **margins)


def literal(name: str) -> str:
    """Returns the name of a file or a run as the text of a figure: it is no formula."""
    return encoded(name).decode().replace("$", r"\$")
