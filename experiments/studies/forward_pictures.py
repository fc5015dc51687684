"""Draws processes side by side: an image and a density with its score, as PNG and as GIF."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import matplotlib
import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

from sde_jax.arrays import Array, Float
from sde_jax.atomic import whole_file
from sde_jax.figures import save_figure

EQUATION = (
    r"$\mathrm{d}x = a(t)\,x\,\mathrm{d}t + g(t)\,\mathrm{d}w$"
    r"   so that   $x_t = \alpha(t)\,x_0 + \sigma(t)\,\mathrm{noise}$"
)
IMAGE = "An image $x_t$"
GREY = r"black is $-(\alpha + 2\sigma)$, white $\alpha + 2\sigma$"
PLANE = r"A density $p_t(x)$ and its score $\nabla \log p_t(x)$"
SHADE = "shades by the panel's darkest, arrows by the scale below"
LENGTH = r"$|\nabla \log p_t(x)|$, per unit of x"

SHADES = np.linspace(0.02, 1, 14)
"""Levels of the shades of a density, relative to its maximum."""
SHADE_COLOURS = matplotlib.colormaps["Greys"](np.linspace(0.08, 0.6, len(SHADES) - 1))
ARROW_COLOURS = ListedColormap(matplotlib.colormaps["plasma"](np.linspace(0, 0.83, 256)))
ARROW_LENGTH = 0.85
"""Length of arrows, relative to their distance."""
TINY = np.finfo(np.float32).tiny

FIGURE_DPI = 160
FRAME_DPI = 90
GREYS, HUES, BLENDS = 24, 24, (0.3, 0.65)
"""Colours of a frame: greys, hues of arrows, and how strong the hues are on an arrow's edge."""
FRAME_MILLISECONDS = 120
REST_MILLISECONDS = 1500
"""Duration of the first and of the last frame."""


class View(NamedTuple):
    """An image and a density in the plane at one time of a process."""

    time: Float[Array | np.ndarray, ""]
    noise_to_signal: Float[Array | np.ndarray, ""]
    image: Float[Array | np.ndarray, "height width channels"]
    """Values in [0, 1]."""
    extent: Float[Array | np.ndarray, ""]
    """The plane is shown from ``-extent`` to ``extent`` in both coordinates."""
    density: Float[Array | np.ndarray, "rows columns"]
    """Values at the centres of equal squares that fill the plane, rows upwards."""
    score: Float[Array | np.ndarray, "side side 2"]
    """Values at the centres of larger squares."""


def draw_figure(rows: Mapping[str, Sequence[View]], path: Path) -> None:
    """Draws a PNG file: a row for each process, by its label; images left, densities right."""
    norm = _norm(view for views in rows.values() for view in views)
    times = [view.time for view in next(iter(rows.values()))]
    figure = Figure(figsize=(13.33, 7.5))
    figure.suptitle(f"Forward processes   {EQUATION}", fontsize=15, y=0.985)
    blocks = []
    for title, left, right in (
        (f"{IMAGE}\n{GREY}", 0.105, 0.53),
        (f"{PLANE}\n{SHADE}", 0.56, 0.99),
    ):
        grid = figure.add_gridspec(
            len(rows), len(times), left=left, right=right, bottom=0.1, top=0.82, hspace=0.26
        )
        blocks.append(grid.subplots(squeeze=False))
        figure.text((left + right) / 2, 0.882, title, ha="center", fontsize=10.5)
    for (label, views), images, planes in zip(rows.items(), *blocks, strict=True):
        for view, image, plane in zip(views, images, planes, strict=True):
            _draw_image(image, view)
            _draw_plane(plane, view, norm)
        images[0].set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center", labelpad=6)
    for panels in blocks:
        for axes, time in zip(panels[0], times, strict=True):
            axes.set_title(f"t = {time:g}\n{axes.get_title()}", fontsize=9)
    _draw_scale(figure, norm, (0.625, 0.06, 0.3, 0.016), "horizontal")
    save_figure(figure, path, dpi=FIGURE_DPI, tight=False)


def draw_animation(columns: Mapping[str, Sequence[View]], path: Path) -> None:
    """Draws a GIF file: a column for each process, by its name; the image above the density."""
    norm = _norm(view for views in columns.values() for view in views)
    moments = zip(*columns.values(), strict=True)
    frames = (_frame(dict(zip(columns, views, strict=True)), norm) for views in moments)
    palette = _palette()
    first, *rest = (
        frame.quantize(palette=palette, dither=PIL.Image.Dither.NONE) for frame in frames
    )
    moving = [FRAME_MILLISECONDS] * (len(rest) - 1)
    with whole_file(path) as file:
        first.save(
            file,
            format="gif",
            save_all=True,
            append_images=rest,
            duration=[REST_MILLISECONDS, *moving, REST_MILLISECONDS],
            loop=0,
        )


def _frame(views: Mapping[str, View], norm: LogNorm) -> PIL.Image.Image:
    """Draws all processes at one time."""
    time = next(iter(views.values())).time
    figure = Figure(figsize=(10.8, 5.0), dpi=FRAME_DPI)
    figure.text(0.05, 0.93, f"t = {time:.2f}", fontsize=15)
    figure.text(0.16, 0.93, EQUATION, fontsize=13)
    grid = figure.add_gridspec(2, len(views), left=0.05, right=0.905, bottom=0.02, top=0.83)
    images, planes = grid.subplots(squeeze=False)
    for name, view, image, plane in zip(views, views.values(), images, planes, strict=True):
        _draw_image(image, view)
        image.set_title(f"{name}\n{image.get_title()}", fontsize=10)
        _draw_plane(plane, view, norm)
        plane.set_title(plane.get_title(), fontsize=10)
    images[0].set_ylabel(f"{IMAGE}\n{GREY}", fontsize=8)
    planes[0].set_ylabel(PLANE.replace(" and", "\nand"), fontsize=8)
    _draw_scale(figure, norm, (0.925, 0.1, 0.012, 0.66), "vertical")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return PIL.Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _draw_image(axes: Axes, view: View) -> None:
    axes.imshow(np.broadcast_to(view.image, (*view.image.shape[:2], 3)))
    axes.set(xticks=[], yticks=[])
    axes.set_title(rf"$\sigma/\alpha$ = {view.noise_to_signal:.3g}", fontsize=8, pad=3)


def _draw_plane(axes: Axes, view: View, norm: LogNorm) -> None:
    across = view.extent * _middles(len(view.density))
    shades = SHADES * view.density.max()
    axes.contourf(across, across, view.density, shades, colors=SHADE_COLOURS)
    length = np.linalg.norm(view.score, axis=-1)
    step = 2 * view.extent / len(view.score)
    arrows = ARROW_LENGTH * step * view.score / np.maximum(length, TINY)[..., None]
    places = view.extent * _middles(len(view.score))
    axes.quiver(
        *(places, places, arrows[..., 0], arrows[..., 1], length),
        norm=norm,
        cmap=ARROW_COLOURS,
        angles="xy",
        scale_units="xy",
        scale=1,
        pivot="mid",
        width=0.011,
    )
    limits = (-view.extent, view.extent)
    axes.set(xlim=limits, ylim=limits, xticks=[], yticks=[], aspect="equal")
    axes.set_title(rf"$|x_1|, |x_2| \leq$ {float(f'{view.extent:.2g}'):g}", fontsize=8, pad=3)


def _draw_scale(
    figure: Figure,
    norm: LogNorm,
    place: tuple[float, float, float, float],
    orientation: Literal["horizontal", "vertical"],
) -> None:
    """Draws the colour bar of the arrows."""
    colours = ScalarMappable(norm, ARROW_COLOURS)
    bar = figure.colorbar(
        colours, cax=figure.add_axes(place), orientation=orientation, extend="both"
    )
    bar.set_label(LENGTH, fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _norm(views: Iterable[View]) -> LogNorm:
    """Returns one scale of lengths for all arrows but the few shortest and longest."""
    lengths = [np.linalg.norm(view.score, axis=-1).ravel() for view in views]
    low, high = np.quantile(np.concatenate(lengths), [0.02, 0.98])
    return LogNorm(low, high, clip=True)


def _palette() -> PIL.Image.Image:
    """Returns greys, and the colours of the arrows, pure and blended with white at their edges."""
    greys = np.linspace(0, 1, GREYS)[:, None].repeat(3, axis=1)
    pure = ARROW_COLOURS(np.linspace(0, 1, HUES))[:, :3]
    colours = np.concatenate([greys, pure, *(1 - part * (1 - pure) for part in BLENDS)])
    palette = PIL.Image.new("P", (1, 1))
    palette.putpalette(np.rint(255 * colours).astype(np.uint8).ravel().tolist())
    return palette


def _middles(count: int) -> Float[np.ndarray, "count"]:
    """Returns the centres of equal parts of [-1, 1]."""
    return (2 * np.arange(count) + 1) / count - 1
