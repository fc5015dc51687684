"""Compares slow samplers and the probability flow on the same models."""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.studies.study import Results, Study
from sde_jax import figures
from sde_jax.data import TRAIN
from sde_jax.evaluation import markdown_table, read_examples, with_error
from sde_jax.metrics import kernel_distance, mean_estimate
from sde_jax.recipes import SAMPLERS, SamplerName
from sde_jax.runs import ScoreRun, draw_all, open_run

SHOWN: tuple[SamplerName, ...] = ("em", "pc", "ode")
REFERENCE = 2000
"""Number of training images that samples are compared with."""


@dataclass(frozen=True, kw_only=True)
class SideBySide(Study):
    """Euler-Maruyama, predictor-corrector and the probability flow, with the experiments' settings.

    The samplers share their keys. The kernel distance of pixels compares images with one another,
    and is insensitive to speckle and to colours that are too strong. Therefore the root mean square
    difference of neighbouring pixels and the share of values at an end of their range are measured
    as well; both should equal those of training images.
    """

    runs: tuple[tuple[str, str], ...]
    """Title and name of each run."""
    count: int
    """Number of samples by each sampler."""

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns distance, evaluations and seconds of each sampler on each run."""
        rows = []
        for title, name in self.runs:
            run = open_run(runs / name)
            parts = read_examples(run.source, TRAIN, count=REFERENCE)
            training = np.concatenate([part.data for part in parts])
            rows.append({"title": title, **looks(training)})
            grids = {}
            for sampler in SHOWN:
                images, row = self._drawn(run, sampler)
                distance = kernel_distance(flat(images), flat(training), block_size=None)
                grids[SAMPLERS[sampler].title] = images
                row["kernel_distance"] = [float(distance.value), float(distance.stderr)]
                rows.append({"title": title, **row, **looks(images)})
            figures.image_panel(grids, pictures / f"{name}.png")
        return {"rows": rows, "count": self.count}

    def table(self, results: Results) -> Iterator[str]:
        """Yields a row for the training images and for each sampler of each run."""
        head = ["", "images", "kernel distance", "neighbour difference", "share of extreme values"]
        yield from markdown_table(
            [*head, "evaluations", "seconds per image"], map(cells, results["rows"])
        )

    def _drawn(self, run: ScoreRun, sampler: SamplerName) -> tuple[np.ndarray, dict[str, Any]]:
        """Returns samples in their own unit, and their cost, with compilation."""
        settings = dataclasses.replace(run.experiment.sampling, sampler=sampler)
        started = time.perf_counter()
        draw = run.sample_fn(settings)
        samples = draw_all(draw, run.params, count=self.count, batch_size=self.count)
        seconds = (time.perf_counter() - started) / self.count
        images = np.clip(run.layout.scaling.to_unit(samples.x), 0.0, 1.0)
        evaluations = float(samples.nfe.mean())
        cost = {"evaluations": evaluations, "seconds_per_image": seconds}
        return images, {"sampler": sampler, **cost}


def cells(row: Mapping[str, Any]) -> list[str]:
    """Returns a row of the table."""
    looked = [with_error(*row[name]) for name in ("difference", "at_an_end")]
    if "sampler" not in row:
        return [row["title"], "training", "", *looked, "", ""]
    return [
        row["title"],
        SAMPLERS[row["sampler"]].title,
        with_error(*row["kernel_distance"]),
        *looked,
        f"{row['evaluations']:,.0f}",
        f"{row['seconds_per_image']:.3g}",
    ]


def looks(images: np.ndarray) -> dict[str, list[float]]:
    """Returns the difference of neighbouring pixels, and the share of values at an end of [0, 1].

    Each is a mean over images with its standard error.
    """
    levels = np.round(255 * images)
    down, across = np.diff(images, axis=1), np.diff(images, axis=2)
    squares = np.concatenate([flat(down), flat(across)], axis=1) ** 2
    shares = flat((levels == 0) | (levels == 255)).mean(axis=1)
    return {
        "difference": list(mean_estimate(np.sqrt(squares.mean(axis=1)))[:2]),
        "at_an_end": list(mean_estimate(shares)[:2]),
    }


def flat(images: np.ndarray) -> np.ndarray:
    """Returns a row of pixels for each image."""
    return images.reshape(len(images), -1)
