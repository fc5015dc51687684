"""Losses of the published implementation and their gradients, at its own times and noise."""

import itertools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES
from published import READINGS, leaves_of, score_of

from sde_jax.objectives import (
    DenoisingScoreMatching,
    DiscreteTimes,
    LikelihoodWeighting,
    NoiseWeighting,
)
from sde_jax.score import ScoreModel, ScorePrediction

WEIGHTINGS = {"lw0": NoiseWeighting(), "lw1": LikelihoodWeighting()}
REDUCTIONS = {"rm0": "half_sum", "rm1": "mean"}


class Replay(nn.Module):
    """Returns its input."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return condition


@pytest.mark.parametrize("name", ["vp", "subvp", "ve", "vp_ddpm"])
def test_continuous_losses(name, parity):
    file = parity(f"loss/{name}_without_gradients" if name == "vp" else f"loss/{name}")
    sde = SDES[json.loads(str(file["meta"]))["sde"]]
    model = ScoreModel(network=Replay(), sde=sde, parameterization=ScorePrediction())

    @jax.jit
    def losses_of_all(*arrays):
        return {
            f"{weighting}_{reduction}": DenoisingScoreMatching(
                model=model, weighting=WEIGHTINGS[weighting], reduction=REDUCTIONS[reduction]
            ).losses_at({}, *arrays)
            for weighting, reduction in itertools.product(WEIGHTINGS, REDUCTIONS)
        }

    for case, losses in losses_of_all(*(file[key] for key in ("batch", "t", "z", "score"))).items():
        # The reference's float32 sigma is wrong by up to .6 % where t is near 1e-5.
        np.testing.assert_allclose(losses, file[f"per_sample/{case}"], rtol=2e-4, err_msg=case)
        np.testing.assert_allclose(np.mean(losses), file[f"loss/{case}"], rtol=2e-4, err_msg=case)


DISCRETE = {"ddpm_disc": "vp_disc", "smld_disc": "ve_disc", "smld_disc_ddpm_net": "ve_disc"}


def times_of(file, reading):
    """The times of the stored labels, among those that the objective draws from."""
    levels = np.arange(1000)
    index = levels[::-1][file["labels"]] if reading == "ve_disc" else file["labels"]
    return jnp.asarray((levels / 999).astype(np.float32)[index])


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_losses(name, parity):
    """The levels of the chain, its labels, and the losses of DDPM and SMLD."""
    file, reading = parity(f"loss/{name}"), DISCRETE[name]
    model = ScoreModel(network=Replay(), sde=SDES[reading.split("_")[0]], **READINGS[reading])

    @jax.jit
    def of_chain(t, x0, noise, output):
        alpha, sigma = model.coefficients(t, x0)
        losses = {
            name: DenoisingScoreMatching(
                model=model, times=DiscreteTimes(levels=1000), reduction=reduction
            ).losses_at({}, x0, t, noise, output)
            for name, reduction in REDUCTIONS.items()
        }
        return model.time_condition(model.sde, t), alpha * x0 + sigma * noise, losses

    arrays = (file[key] for key in ("batch", "z", "model_out"))
    labels, x, losses = of_chain(times_of(file, reading), *arrays)
    np.testing.assert_array_equal(labels, file["labels"])
    published = file["perturbed"]
    np.testing.assert_allclose(x, published, atol=2e-6 * np.abs(published).max())
    for case, found in losses.items():
        np.testing.assert_allclose(np.mean(found), file[f"loss/{case}"], rtol=1e-5, err_msg=case)


@pytest.mark.slow("test_continuous_losses")
@pytest.mark.parametrize("name", ["vp", "ve", *DISCRETE])
def test_gradients(name, parity):
    """The norm of every parameter's gradient, for every weighting and reduction of the examples.

    Gradients that are zero but for rounding, such as those of the keys' biases, are noise.
    """
    file = parity(f"loss/{name}")
    meta = json.loads(str(file["meta"]))
    stored = parity(meta["net"].removesuffix(".npz"))
    network = json.loads(str(stored["meta"]))
    reading = DISCRETE.get(name, f"{name}_cont")
    score = score_of(stored, network, reading)
    objective = DenoisingScoreMatching(model=score.model)
    t = times_of(file, reading) if name in DISCRETE else jnp.asarray(file["t"])
    x0, noise = (jnp.asarray(file[key].transpose(0, 2, 3, 1)) for key in ("batch", "z"))

    @jax.jit
    @jax.grad
    def gradients(params, factors):
        return jnp.vdot(factors, objective.losses_at(params, x0, t, noise)) / len(x0)

    names = {path: leaf for path, (leaf, _) in leaves_of(stored, network).items()}
    for case in [key.removeprefix("grad_norm/") for key in file if key.startswith("grad_norm/")]:
        factors = WEIGHTINGS.get(case[:3], NoiseWeighting())(score.model.sde, t)
        factors *= {"rm0": 0.5 * x0[0].size, "rm1": 1.0}[case[-3:]]
        norms = {
            names[tuple(key.key for key in path)]: np.linalg.norm(gradient)
            for path, gradient in jax.tree_util.tree_leaves_with_path(
                gradients(score.params, factors)
            )
        }
        published = file[f"grad_norm/{case}"]
        ours = [norms[leaf] for leaf in meta["grad_norm_names"]]
        noise_floor = 1e-6 * published.max()
        np.testing.assert_allclose(ours, published, rtol=3e-4, atol=noise_floor, err_msg=case)
        assert (published > 100 * noise_floor).mean() > 0.7
