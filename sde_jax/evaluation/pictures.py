"""The pictures of an evaluation, in its folder."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sde_jax import array_figures, figures
from sde_jax.data import TEST, TRAIN
from sde_jax.evaluation.examples import read_examples
from sde_jax.evaluation.task import Drawn, Task
from sde_jax.metrics import Nearest, Predictions
from sde_jax.recipes.interfaces import Measured
from sde_jax.runs.measurement import unit_of
from sde_jax.training.processes import of_first

SHOWN = 100
ACROSS = 12
"""Number of samples in a row."""
CLOSEST = 8
"""Number of samples that are shown beside training images."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A file in the folder of an evaluation, with its title and caption."""

    file: str
    title: str
    caption: str


def draw(function: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Draws a picture in the first process; all wait for it."""

    def drawn() -> None:
        function(*arguments, **options)

    of_first(drawn)


def draw_samples(task: Task, drawn: Drawn) -> Picture:
    """Draws the first samples, without selection."""
    shown = drawn.data if drawn.data.ndim == 2 else drawn.data[:SHOWN]
    draw(array_figures.draw_picture, shown, "samples", task.folder / "samples.png")
    caption = f"The first {len(shown):,} of {task.settings.count:,} samples, not selected."
    return Picture(file="samples.png", title="Samples", caption=caption)


def draw_bits(task: Task, measured: Measured) -> list[Picture]:
    """Draws the distribution of likelihoods; returns no picture if no solve converged."""
    unit = unit_of(task.run.layout)
    found = unit.factor * measured.bits_per_dim[measured.converged]
    if not len(found):
        return []
    title = {"bits_per_dim": "Bits per dimension", "nats": "Log density in nats"}[unit.name]
    label = title[0].lower() + title[1:]
    draw(figures.histogram, {f"{TEST} split": found}, task.folder / "bits.png", xlabel=label)
    caption = f"{title} of {len(found):,} single examples of the {TEST} split."
    return [Picture(file="bits.png", title=title, caption=caption)]


def draw_training(task: Task) -> list[Picture]:
    """Draws the training curve; returns no picture if no loss is logged."""
    lines = task.run.directory.read_metrics()
    if not any("loss" in line for line in lines):
        return []
    series = {"loss": "training", "held_out_loss": "held out"}
    draw(figures.curves, lines, task.folder / "training.png", series=series)
    return [Picture(file="training.png", title="Training", caption="Losses by training step.")]


def draw_neighbours(task: Task, network: str, drawn: Drawn, nearest: Nearest) -> Picture:
    """Draws the samples that are closest to training images beside their neighbours."""
    rows = nearest.closest(CLOSEST)
    indices = nearest.indices[rows]
    images = dict.fromkeys(indices.ravel().tolist(), drawn.data[0])
    first = 0
    for part in read_examples(task.run.source, TRAIN):
        inside = [index for index in images if first <= index < first + len(part.data)]
        images.update((index, part.data[index - first]) for index in inside)
        first += len(part.data)
    beside = np.stack([[images[index] for index in row] for row in indices.tolist()])
    file = f"neighbours-{network}.png"
    columns = {"sample": drawn.data[rows][:, None], "nearest in training": beside}
    draw(figures.image_rows, columns, task.folder / file)
    return Picture(
        file=file,
        title=f"Nearest training images ({network})",
        caption=f"The {len(rows)} samples closest to training images, with their neighbours.",
    )


def draw_predictions(task: Task, drawn: Drawn, predicted: Predictions) -> Iterator[Picture]:
    """Draws the most confident sample of each label, and the samples of the least confidence."""
    best = predicted.generated.best
    blank = np.ones_like(drawn.data[0])
    surest = [blank if index is None else drawn.data[index] for index in best]
    draw(figures.image_grid, np.stack(surest), task.folder / "surest.png", columns=len(surest))
    yield Picture(
        file="surest.png",
        title="The most confident sample of each label",
        caption="The sample with the largest logit of each label, in the order of labels. Labels "
        "without a sample are blank.",
    )
    unsure = predicted.generated.unsure[: 3 * ACROSS]
    if len(unsure):
        draw(figures.image_grid, drawn.data[unsure], task.folder / "unsure.png", columns=ACROSS)
        yield Picture(
            file="unsure.png",
            title="Samples that the classifier is unsure of",
            caption=f"The {len(unsure)} least confident of {len(predicted.generated.unsure):,}.",
        )
