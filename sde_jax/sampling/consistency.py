"""Sampling of students, which jump from any time to the data."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from sde_jax.arrays import Array, Float, expand_like
from sde_jax.sampling.predictors import Step
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE
from sde_jax.validation import Spec, Steps


@dataclass(frozen=True, kw_only=True)
class Renoise:
    """Jumps to the data and back: ``x_s = alpha x_0 + sigma noise`` (Song et al. 2023, alg. 1).

    The jump is the posterior mean of a student's score (arXiv:2303.01469). Unlike `DDIM`, nothing
    of x but the jump remains.
    """

    evaluations: ClassVar[int] = 1
    follows_flow: ClassVar[bool] = False

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        mean = expand_like(sde.alpha(s), x) * denoised(score, sde, x, t)
        return Step(mean + expand_like(sde.sigma(s), x) * noise, mean)


@dataclass(frozen=True, kw_only=True)
class JumpGrid(Spec):
    """Times from which ``jumps`` jumps start: t = 1, then at equal angles arctan(noise_to_signal).

    The angles are ``k pi / (2 jumps)``, k = jumps - 1 .. 1. With the denoising end, the last time
    has a jump, too: the grid of one jump is t = 1 alone.
    """

    jumps: Steps
    """Number of jumps, one evaluation each."""

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        angles = jnp.arange(self.jumps - 1, 0, -1) * (math.pi / (2 * self.jumps))
        return jnp.append(1.0, jnp.clip(sde.time_of(jnp.tan(angles)), 0, 1))
