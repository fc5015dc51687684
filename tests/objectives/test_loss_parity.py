"""Losses of the published implementation, at its own times, noise and scores."""

import json

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES

from sde_jax.objectives import DenoisingScoreMatching, LikelihoodWeighting, NoiseWeighting
from sde_jax.score import ScoreModel, ScorePrediction


class Replay(nn.Module):
    """Returns what it is told."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return condition


@pytest.mark.parametrize("name", ["vp", "subvp", "ve", "vp_ddpm"])
@pytest.mark.parametrize("weighting", [NoiseWeighting(), LikelihoodWeighting()], ids=["0", "1"])
def test_losses(name, weighting, shared):
    path = shared / "parity" / "loss" / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is not among the reference data")
    file = np.load(path)
    sde = SDES[json.loads(str(file["meta"]))["sde"]]
    model = ScoreModel(network=Replay(), sde=sde, parameterization=ScorePrediction())
    objective = DenoisingScoreMatching(model=model, weighting=weighting)
    losses = objective.losses_at(
        {}, *(jnp.asarray(file[key]) for key in ("batch", "t", "z", "score"))
    )
    index = int(isinstance(weighting, LikelihoodWeighting))
    # The reference's float32 sigma is wrong by up to .6 % where t is near 1e-5.
    np.testing.assert_allclose(losses, file[f"per_sample/lw{index}_rm1"], rtol=2e-4)
    np.testing.assert_allclose(losses.mean(), file[f"loss/lw{index}_rm1"], rtol=2e-4)
    half_sums = 0.5 * losses * file["batch"][0].size
    np.testing.assert_allclose(half_sums, file[f"per_sample/lw{index}_rm0"], rtol=2e-4)
