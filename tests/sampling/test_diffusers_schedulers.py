"""Multistep methods against the schedulers of diffusers, where it is installed (its extra)."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import gaussian

from sde_jax.sampling import ExponentialAdams
from sde_jax.score import MixtureScore
from sde_jax.sde import VP

with warnings.catch_warnings(action="ignore"):
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")

pytestmark = pytest.mark.filterwarnings("ignore")

SDE = VP()


class Times:
    """The grid of the scheduler: its timesteps, and the least noise once they are done."""

    def __init__(self, scheduler):
        levels = jnp.asarray(scheduler.sigmas.double().numpy())
        self.times = SDE.time_of(levels)

    def __call__(self, sde):
        return self.times


def scheduler_of(name, **settings):
    times = jnp.linspace(1e-3, 1.0, 1000)
    squares = np.asarray(SDE.alpha(times), np.float64) ** 2
    betas = 1 - squares / np.append(1.0, squares[:-1])
    return getattr(diffusers, name)(
        trained_betas=betas.tolist(), final_sigmas_type="sigma_min", **settings
    )


def drawn_by(scheduler, noise, steps, noises):
    """The last state, with the exact posterior mean of the lopsided Gaussian."""
    scheduler.set_timesteps(steps)
    x = torch.from_numpy(noise)
    for step, timestep in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[step].double()
        alpha = 1 / torch.sqrt(1 + sigma**2)
        mean = 0.7 + 0.16 / (0.16 + sigma**2) * (x / alpha - 0.7)
        extra = {"variance_noise": torch.from_numpy(noises[step])} if noises is not None else {}
        x = scheduler.step((x - alpha * mean) / (alpha * sigma), timestep, x, **extra).prev_sample
    return x.numpy()


@pytest.mark.parametrize(
    ("scheduler", "settings", "ours", "steps"),
    [
        ("DPMSolverMultistepScheduler", {}, {"order": 2, "corrected": False}, 9),
        (
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "sde-dpmsolver++"},
            {"order": 2, "corrected": False, "eta": 1.0},
            20,
        ),
        ("UniPCMultistepScheduler", {"solver_order": 3}, {"order": 3}, 9),
        ("UniPCMultistepScheduler", {"solver_order": 2}, {"order": 2}, 9),
    ],
    ids=["dpm++2m", "sde-dpm++2m", "unipc3", "unipc2"],
)
def test_as_diffusers_has_it(scheduler, settings, ours, steps, key, monkeypatch):
    """Its UniPC lowers the last orders in any number of steps, hence few of them here."""
    peer = scheduler_of(scheduler, **settings)
    peer.set_timesteps(steps)
    rng = np.random.default_rng(0)
    noise, noises = rng.normal(size=(4, 3)), rng.normal(size=(steps, 4, 3))
    with jax.enable_x64(True):
        grid = Times(peer)
        sampler = ExponentialAdams(grid=grid, orders="falling", end="state", **ours)
        monkeypatch.setattr("sde_jax.sampling.grid_loop.draw_prior", lambda *_: jnp.asarray(noise))
        monkeypatch.setattr(
            "sde_jax.sampling.exponential.step_noise", lambda k, step, *_: jnp.asarray(noises)[step]
        )
        score, all_keys = MixtureScore(gaussian(3), SDE), jax.random.split(key, 4)
        found = jax.jit(lambda keys: sampler(keys, score, SDE, (3,)).x)(all_keys)
    expected = drawn_by(peer, noise, steps, noises if ours.get("eta") else None)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
