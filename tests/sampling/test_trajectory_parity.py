"""Whole trajectories of the published samplers, with their own noise and networks."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from published import relative_error, score_of

from sde_jax.sampling import (
    Ancestral,
    BatchNormStep,
    Langevin,
    PredictorCorrector,
    PublishedGrid,
    ReverseDiffusion,
    grid_loop,
    predictor_corrector,
)
from sde_jax.sde import DDPMChain, EulerChain, SMLDChain

STEPS = 50
CHAINS = {"vp": DDPMChain(levels=STEPS), "ve": SMLDChain(levels=STEPS)}


def sampler_of(meta):
    """Our sampler for the settings of a stored trajectory."""
    chain = CHAINS[meta["sde"]]
    predictors = {
        "euler_maruyama": ReverseDiffusion(transition=EulerChain(steps=STEPS)),
        "reverse_diffusion": ReverseDiffusion(transition=chain),
        "ancestral_sampling": Ancestral(
            transition=chain, variance={"vp": "beta", "ve": "posterior"}[meta["sde"]]
        ),
    }
    langevin = Langevin(snr=meta["snr"], step_size=BatchNormStep(), transition=chain)
    return PredictorCorrector(
        grid=PublishedGrid(steps=meta["N"], t_min=meta["eps"]),
        predictor=predictors[meta["predictor"]],
        corrector={"none": None, "langevin": langevin}[meta["corrector"]],
        end="mean" if meta["denoise"] else "state",
    )


@pytest.mark.slow("tests/sampling/test_sampler_parity.py::test_reverse_diffusion")
@pytest.mark.parametrize("name", ["vp_em", "vp_ancestral", "ve_ancestral", "ve_rd_langevin"])
def test_trajectories(name, parity, monkeypatch):
    """To 2e-5 of the largest; the reference counts 100 evaluations where there are 50."""
    file = parity(f"sampler/pc_{name}")
    meta = json.loads(str(file["meta"]))
    assert (meta["N"], meta["n_steps"], meta["probability_flow"]) == (STEPS, 1, False)
    network = parity(meta["net"].removesuffix(".npz"))
    score = score_of(network, json.loads(str(network["meta"])), f"{meta['sde']}_cont")
    sampler, sde = sampler_of(meta), score.model.sde
    prior = jnp.asarray(file["prior_noise"].transpose(0, 2, 3, 1)) * sde.prior_scale
    noise = jnp.asarray(np.concatenate(file["noise"]).transpose(0, 1, 3, 4, 2))
    moves = 1 if sampler.corrector is None else 2
    assert len(noise) == STEPS * moves
    monkeypatch.setattr(grid_loop, "draw_prior", lambda *_: prior)
    monkeypatch.setattr(predictor_corrector, "step_noise", lambda keys, count, *_: noise[count])
    keys = jax.random.split(jax.random.key(0), 2)
    samples = jax.jit(lambda score: sampler(keys, score, sde, prior.shape[1:]))(score)
    x = np.asarray(samples.x).transpose(0, 3, 1, 2)
    x = {"identity": x, "(x+1)/2": (x + 1) / 2}[meta["inverse_scaler"]]
    assert relative_error(x, file["sample"]) <= 2e-5
    np.testing.assert_array_equal(samples.nfe, [len(noise)] * 2)
    assert meta["reported_nfe"] == 2 * STEPS
