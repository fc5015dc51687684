"""Quality of the posteriors of a simulator, against the reference posteriors of sbibm."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.studies.sbibm_files import Observation, observations
from experiments.studies.study import Report, Results
from sde_jax import Run, open_run, posterior_figures
from sde_jax.data import (
    SLCP,
    GaussianLinearUniform,
    GaussianMixtureMean,
    Simulator,
    TwoMoons,
)
from sde_jax.evaluation import markdown_table, with_error
from sde_jax.metrics import (
    Calibration,
    Estimate,
    classifier_two_sample,
    mean_estimate,
    simulation_based_calibration,
)
from sde_jax.runs import training_seconds
from sde_jax.training import RunDirectory

TASKS: dict[type[Simulator], str] = {
    TwoMoons: "two_moons",
    SLCP: "slcp",
    GaussianLinearUniform: "gaussian_linear_uniform",
    GaussianMixtureMean: "gaussian_mixture",
}
"""Simulators by their name in sbibm."""
COUNT = 10_000
"""Samples of each posterior."""
BATCH = 10_000
CALIBRATED, RANKED = 500, 99
"""Simulations of the calibration, and samples of the posterior of each."""
SEED = 10_000
"""Seed of these simulations, which is not that of the training."""
CREDIBILITY = 0.9


@dataclass(frozen=True, kw_only=True)
class PosteriorQuality(Report):
    """Classifier two-sample tests against the reference posteriors of ten observations, and the
    simulation-based calibration of fresh simulations.

    ``C2ST`` is the mean over the observations, with its standard error over them. ``uniform ranks``
    is the p-value of the calibration.
    """

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns the measures; draws ``accuracies.png`` and ``ranks.png``."""
        run = open_run(runs / self.run)
        simulator: Any = run.experiment
        known = observations(TASKS[type(simulator.data)])
        started = time.perf_counter()
        drawn = draw_posteriors(run, known)
        sampling = time.perf_counter() - started
        found = [
            classifier_two_sample(one.posterior, samples)
            for one, samples in zip(known, drawn, strict=True)
        ]
        ranks = calibration(run, simulator.data)
        posterior_figures.two_sample_accuracies({self.run: found}, pictures / "accuracies.png")
        posterior_figures.rank_histograms(ranks, pictures / "ranks.png")
        return {
            "C2ST": named(mean_estimate(np.array([one.value for one in found]))),
            "C2ST of each": {f"{n}": one.value for n, one in enumerate(found, start=1)},
            "uniform ranks": {"p": ranks.p_value()},
            "coverage of 90% intervals": named(ranks.coverage(CREDIBILITY)),
            "seconds": {
                "training": training_seconds(RunDirectory.open(run.path)),
                "sampling": sampling,
            },
        }

    def table(self, results: Results) -> Iterator[str]:
        """Yields the row of the simulator."""
        coverage, seconds = results["coverage of 90% intervals"], results["seconds"]
        cells = {
            "C2ST": with_error(**results["C2ST"]),
            "largest": f"{max(results['C2ST of each'].values()):.3f}",
            "uniform ranks: p": f"{results['uniform ranks']['p']:.2g}",
            "coverage of 90% intervals": with_error(**coverage),
            **{f"seconds of {name}": f"{value:.0f}" for name, value in seconds.items()},
        }
        yield from markdown_table(["", *cells], [[f"`{self.run}`", *cells.values()]])


def named(estimate: Estimate) -> dict[str, float]:
    """Returns value and standard error by name."""
    return {"value": estimate.value, "stderr": estimate.stderr}


def draw_posteriors(run: Run, known: list[Observation]) -> list[np.ndarray]:
    """Draws samples of the posterior of each observation."""
    return [
        run.sample(jax.random.key(number), COUNT, condition=one.x, batch_size=BATCH).x
        for number, one in enumerate(known)
    ]


def calibration(run: Run, simulator: Simulator) -> Calibration:
    """Returns the calibration of the posteriors of fresh simulations."""
    parameters, simulations = simulator.draw(np.random.default_rng(SEED), CALIBRATED)
    condition = np.repeat(simulations, RANKED, axis=0)
    samples = run.sample(
        jax.random.key(SEED), len(condition), condition=condition, batch_size=BATCH
    )
    return simulation_based_calibration(parameters, samples.x.reshape(CALIBRATED, RANKED, -1))
