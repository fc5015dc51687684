"""diffusers' DPM-Solver++ 2M on any score: `DPMSolverMultistepScheduler`, called from Python.

Every linear SDE is VP in other coordinates: with r the noise_to_signal and y = x / alpha, the
scheduler's state is ``y / sqrt(1 + r^2)``. It is told r, and not the rounded timestep.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler

__all__ = ["SPACINGS", "draw", "scheduler"]

SPACINGS: Mapping[str, Mapping[str, Any]] = {
    "by default": {},
    "timesteps, to sigma_min": {"final_sigmas_type": "sigma_min"},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "lu": {"use_lu_lambdas": True},
}
"""Settings by their names; all but one end at no noise, in a posterior mean."""


def scheduler(levels: np.ndarray, **settings: Any) -> DPMSolverMultistepScheduler:
    """The scheduler of a chain with these values of noise_to_signal, which rise."""
    squares = 1 / (1 + levels.astype(np.float64) ** 2)
    betas = 1 - squares / np.append(1.0, squares[:-1])
    return DPMSolverMultistepScheduler(trained_betas=betas.tolist(), **settings)


def draw(
    scheduler: DPMSolverMultistepScheduler,
    evaluations: int,
    noise: np.ndarray,
    denoise: Callable[[np.ndarray, float], Any],
) -> np.ndarray:
    """The last y from unit noise; ``denoise(y, r)`` is the posterior mean, asked ``evaluations``
    times."""
    scheduler.set_timesteps(evaluations)
    x = torch.from_numpy(noise.copy())
    for step, timestep in enumerate(scheduler.timesteps):
        level = float(scheduler.sigmas[step])
        alpha = 1 / math.hypot(1, level)
        mean = torch.from_numpy(np.array(denoise(x.numpy() / alpha, level), noise.dtype))
        x = scheduler.step((x - alpha * mean) / (alpha * level), timestep, x).prev_sample
    return x.numpy() * math.hypot(1, float(scheduler.sigmas[-1]))
