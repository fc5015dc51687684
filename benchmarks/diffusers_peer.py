"""Runs diffusers' multistep schedulers on any score.

Every linear SDE is VP in other coordinates: with r the noise_to_signal and y = x / alpha, the
scheduler's state is ``y / sqrt(1 + r^2)``. The denoiser receives r itself, not a rounded timestep.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

from sde_jax.sampling import draw_prior
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE

SPACINGS: Mapping[str, Mapping[str, Any]] = {
    "by default": {},
    "timesteps, to sigma_min": {"final_sigmas_type": "sigma_min"},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "lu": {"use_lu_lambdas": True},
    "beta": {"use_beta_sigmas": True},
    "leading": {"timestep_spacing": "leading"},
    "trailing": {"timestep_spacing": "trailing"},
}
"""Settings by name. All but "timesteps, to sigma_min" end without noise, in a posterior mean."""

SOLVERS: Mapping[str, Callable[..., Any]] = {
    "DPM-Solver++ 2M": DPMSolverMultistepScheduler,
    "UniPC": UniPCMultistepScheduler,
    "UniPC-3": functools.partial(UniPCMultistepScheduler, solver_order=3),
}
"""Builders of schedulers by name. UniPC has no spacing "lu"."""


def scheduler(levels: np.ndarray, solver: str = "DPM-Solver++ 2M", **settings: Any) -> Any:
    """Builds the scheduler of a chain with these increasing values of noise_to_signal."""
    squares = 1 / (1 + levels.astype(np.float64) ** 2)
    betas = 1 - squares / np.append(1.0, squares[:-1])
    return SOLVERS[solver](trained_betas=betas.tolist(), **settings)


def prior_noise(keys: jax.Array, sde: LinearSDE, shape: tuple[int, ...]) -> jax.Array:
    """Returns the prior samples from which our samplers start, given the same keys."""
    halves = jax.vmap(jax.random.split, out_axes=1)(keys)
    return draw_prior(halves[0], sde, shape)


def denoiser(score: Score, sde: LinearSDE) -> Callable[[Any, float], jax.Array]:
    """Returns the posterior mean of x0, as a compiled function of y and r."""

    @jax.jit
    def denoise(y: jax.Array, level: float) -> jax.Array:
        t = sde.time_of(jnp.asarray(level))
        return denoised(score, sde, sde.alpha(t) * y, t)

    return denoise


def draw(
    scheduler: Any,
    evaluations: int,
    noise: np.ndarray,
    denoise: Callable[[np.ndarray, float], Any],
) -> np.ndarray:
    """Returns the last y from unit noise, after ``evaluations`` calls of ``denoise(y, r)``."""
    scheduler.set_timesteps(evaluations)
    x = torch.from_numpy(noise.copy())
    for step, timestep in enumerate(scheduler.timesteps):
        level = float(scheduler.sigmas[step])
        alpha = 1 / math.hypot(1, level)
        mean = torch.from_numpy(np.array(denoise(x.numpy() / alpha, level), noise.dtype))
        x = scheduler.step((x - alpha * mean) / (alpha * level), timestep, x).prev_sample
    return x.numpy() * math.hypot(1, float(scheduler.sigmas[-1]))
