"""Figures of posteriors are drawn, whatever the number of panels."""

import numpy as np
import PIL.Image
import pytest

from sde_jax.metrics import Estimate, simulation_based_calibration
from sde_jax.posterior_figures import rank_histograms, two_sample_accuracies


@pytest.mark.parametrize("parameters", [1, 5])
def test_ranks_and_accuracies_are_drawn(tmp_path, parameters):
    rng = np.random.default_rng(0)
    true, samples = rng.normal(size=(40, parameters)), rng.normal(size=(40, 9, parameters))
    ranks = simulation_based_calibration(true, samples)
    rank_histograms(ranks, tmp_path / "ranks.png", names=[f"p{n}" for n in range(parameters)])
    found = [Estimate(0.5 + 0.1 * n, 0.02, (9, 9)) for n in range(parameters)]
    two_sample_accuracies({"ours": found, "theirs": found}, tmp_path / "accuracies.png")
    for name in ("ranks", "accuracies"):
        with PIL.Image.open(tmp_path / f"{name}.png") as picture:
            assert len(np.unique(np.asarray(picture)[..., 0])) > 10
