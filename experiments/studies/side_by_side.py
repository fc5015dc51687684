"""Slow samplers and the flow, side by side on the same models, with the quality of each."""

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.evaluation.examples import examples
from experiments.evaluation.task import TRAIN
from experiments.evaluation.wording import with_error
from experiments.generation import generate, together
from experiments.markdown import markdown_table
from experiments.runs import ScoreRun, open_run
from experiments.sampler_settings import TITLES, SamplerName
from experiments.studies.study import Results, Study
from sde_jax import figures
from sde_jax.metrics.kernel import kernel_distance
from sde_jax.training.devices import data_mesh

__all__ = ["SideBySide"]

SAMPLERS: tuple[SamplerName, ...] = ("em", "pc", "ode")
REFERENCE = 2000
"""Training images that samples are compared with."""


@dataclass(frozen=True, kw_only=True)
class SideBySide(Study):
    """Euler-Maruyama, predictor-corrector and the probability flow, as the runs' experiments set
    them: samples of the same keys, and their kernel distance from training images, in pixels."""

    runs: tuple[tuple[str, str], ...]
    """A title and the name of each run."""
    count: int
    """Samples by each sampler."""

    @property
    def trained(self) -> tuple[str, ...]:
        """The runs."""
        return tuple(run for _, run in self.runs)

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Distance, evaluations and seconds of each sampler on each run."""
        rows = []
        for title, name in self.runs:
            run = open_run(runs / name, data_mesh())
            parts = examples(run.source, TRAIN, count=REFERENCE)
            training = np.concatenate([flat(part.data) for part in parts])
            grids = {}
            for sampler in SAMPLERS:
                images, row = self._drawn(run, sampler)
                distance = kernel_distance(flat(images), training)
                grids[TITLES[sampler]] = images
                rows.append(
                    {
                        "title": title,
                        **row,
                        "kernel_distance": [float(distance.value), float(distance.stderr)],
                    }
                )
            figures.image_panel(grids, pictures / f"{name}.png")
        return {"rows": rows, "count": self.count}

    def table(self, results: Results) -> Iterator[str]:
        """A row for each sampler on each run."""
        head = ["", "sampler", "kernel distance, pixels", "evaluations", "seconds per image"]
        rows = (
            [
                row["title"],
                TITLES[row["sampler"]],
                with_error(*row["kernel_distance"]),
                f"{row['evaluations']:,.0f}",
                f"{row['seconds_per_image']:.3g}",
            ]
            for row in results["rows"]
        )
        yield from markdown_table(head, rows)

    def _drawn(self, run: ScoreRun, sampler: SamplerName) -> tuple[np.ndarray, dict[str, Any]]:
        """Samples in their own unit, and what they took, compiling included."""
        settings = dataclasses.replace(run.experiment.sampling, sampler=sampler)
        started = time.perf_counter()
        samples = together(
            generate(
                run.draws(settings),
                run.params,
                key=jax.random.key(0),
                count=self.count,
                batch_size=self.count,
                mesh=data_mesh(),
            )
        )
        seconds = (time.perf_counter() - started) / self.count
        images = np.asarray(run.layout.scaling.to_unit(samples.x))
        evaluations = float(samples.nfe.mean())
        return images, {
            "sampler": sampler,
            "evaluations": evaluations,
            "seconds_per_image": seconds,
        }


def flat(images: np.ndarray) -> np.ndarray:
    """A row of pixels for each image."""
    return images.reshape(len(images), -1)
