"""Compares the protocols by which bits per dimension are measured, on the same checkpoints."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import sde_jax
from experiments.studies.study import Results, Study
from sde_jax.data import TEST, ImageScaling
from sde_jax.evaluation import markdown_table, read_examples, with_error
from sde_jax.metrics import mean_estimate

PROTOCOLS: dict[str, dict[str, Any]] = {
    "uniform": {"protocol": "uniform", "samples": 1},
    "uniform, K = 20": {"protocol": "uniform", "samples": 20},
    "truncated": {"protocol": "truncated", "samples": 1, "t_min": None},
    "truncated, K = 20": {"protocol": "truncated", "samples": 20, "t_min": None},
    "variational": {"protocol": "variational", "samples": 1},
    "variational, K = 20": {"protocol": "variational", "samples": 20},
    "score-bound": {"protocol": "score-bound", "samples": 100},
    "ddpm-bound": {"protocol": "ddpm-bound", "samples": 1},
}
"""The rows of the table, and their settings."""


@dataclass(frozen=True, kw_only=True)
class Protocols(Study):
    """Bits per dimension of held-out images by every protocol that suits a model."""

    runs: tuple[tuple[str, str], ...]
    """Title and run of each model."""
    dequantizers: tuple[tuple[str, str], ...] = ()
    """Title of a model and run of its dequantizer, for each that has one."""
    t_min: float
    """Where the density of dequantized data and the bound by the score start."""
    steps: int = 50
    """Steps of the probability flow."""
    count: int | None = None
    """Number of images, the first ones; None: all."""

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the runs, dequantizers after the models that they were learned for."""
        return (*super().trained, *(name for _, name in self.dequantizers))

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns mean and standard error by each protocol that suits, for each model."""
        dequantizers = dict(self.dequantizers)
        return {
            "models": {
                title: self._of_run(sde_jax.open_run(runs / run), dequantizers.get(title))
                for title, run in self.runs
            }
        }

    def _of_run(self, run: sde_jax.Run, dequantizer: str | None) -> dict[str, dict[str, float]]:
        parts = read_examples(run.experiment.data.load(), TEST, count=self.count)
        images = np.concatenate([part.data for part in parts])
        scaling = run.layout.scaling
        assert isinstance(scaling, ImageScaling)
        levels = np.rint(images * (scaling.levels - 1)).astype(np.uint8)
        found = {}
        for name, settings in PROTOCOLS.items():
            flow = not settings["protocol"].endswith("bound")
            settings = {"t_min": self.t_min, **settings}
            if settings["protocol"] == "ddpm-bound":
                del settings["t_min"]
            if settings["protocol"] == "variational":
                settings["dequantizer"] = dequantizer
            try:
                measured = run.likelihood(levels, steps=self.steps if flow else None, **settings)
            except ValueError:  # It does not suit the model.
                continue
            bits = mean_estimate(measured.bits_per_dim)
            found[name] = {"value": bits.value, "stderr": bits.stderr}
        return found

    def table(self, results: Results) -> Iterator[str]:
        """Yields a row for each protocol, with a column for each model."""
        models = results["models"]
        rows = [
            [name, *(with_error(**of[name]) if name in of else "" for of in models.values())]
            for name in PROTOCOLS
        ]
        yield from markdown_table(["protocol", *models], rows)
