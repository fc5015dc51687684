"""``sde-jax quickstart``: from data to samples and bits per dimension."""

import time
from typing import Any

import numpy as np

from sde_jax import figures
from sde_jax.command_line import likelihood, sample
from sde_jax.command_line.options.quickstart import Quickstart
from sde_jax.recipes.sampler_settings import SAMPLERS, SamplerName
from sde_jax.runs.catalogue import find
from sde_jax.runs.trained_run import ScoreRun, open_run
from sde_jax.runs.training import train_experiment

SHOWN_SAMPLERS: tuple[SamplerName, ...] = ("em", "pc", "ode")


def main(options: Quickstart) -> dict[str, Any]:
    """Runs the command and returns its results."""
    workdir, started = options.workdir, time.perf_counter()
    result = train_experiment(find("quickstart"), workdir, resume=True)
    if result.stopped:
        return {"run": str(workdir), "step": result.step, "stopped": True}
    trained_run = open_run(workdir)
    samples = {name: draw(trained_run, name) for name in SHOWN_SAMPLERS}
    settings = trained_run.experiment.likelihood
    measuring = likelihood.Likelihoods(run=workdir, settings=settings)
    measured = likelihood.execute(trained_run, measuring)
    return {
        **measured,
        "out": samples[SHOWN_SAMPLERS[0]]["out"],
        "samples": samples,
        "pictures": draw_pictures(trained_run, samples),
        "failed": sorted(
            {*measured["failed"], *(j for s in samples.values() for j in s["failed"])}
        ),
        "seconds": round(time.perf_counter() - started, 1),
    }


def draw(run: ScoreRun, sampler: SamplerName) -> dict[str, Any]:
    """Draws and writes samples of one sampler, as the command `sample` does."""
    settings = run.experiment.sampling.switched(sampler)
    trajectory = sampler == "em"
    options = sample.Sample(run=run.directory.path, settings=settings, trajectory=trajectory)
    return sample.execute(run, options)


def draw_pictures(run: ScoreRun, samples: dict[SamplerName, dict[str, Any]]) -> dict[str, str]:
    """Draws the samplers side by side, and returns the paths of all pictures."""
    side_by_side = run.directory.pictures / "samples.png"
    grids = {
        SAMPLERS[name].title: np.load(result["out"])["samples"] for name, result in samples.items()
    }
    figures.image_panel(grids, side_by_side)
    return {
        "samples": str(side_by_side),
        "trajectory": samples["em"]["pictures"][1],
        "training": str(run.directory.pictures / "training.png"),
    }
