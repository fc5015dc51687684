"""Sampling with a blind denoiser, which estimates the noise level from its residual."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, Float, Int, Keys, PRNGKeyArray, precision_of
from sde_jax.randomness import draw_prior, split_keys
from sde_jax.sampling.protocol import Samples
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE
from sde_jax.validation import AboveZero, Positive, Spec, Steps


@dataclass(frozen=True, kw_only=True)
class BlindAscent(Spec):
    """Stochastic coarse-to-fine ascent (Kadkhodaie and Simoncelli 2021, arXiv:2007.13640, alg. 1).

    In ``y = x / alpha``, with f the denoiser and D the dimension, step n = 1, 2, ... is

    ::

        residual = f(y) - y             h = step n / (1 + step (n - 1))
        level = |residual| / sqrt(D)    gamma^2 = ((1 - beta h)^2 - (1 - h)^2) level^2
        y' = y + h residual + gamma noise

    By Miyasawa 1961, ``residual = level^2 grad log p(y)``. The injected noise is scaled by the
    estimated level, so that about ``1 - beta h`` of the noise remains. A sample ends with f(y) as
    soon as its level is at most ``level_min``. The estimate is accurate if the data occupy few of
    the D directions, and too small otherwise.

    The score is usually a `BlindDenoiserScore`. The SDE then only sets the prior: `VE` starts at
    the level ``sigma_max``, which must be large compared with the data's mean. A time-dependent
    score is evaluated at the time of the last estimated level.

    Sample j is a function of ``keys[j]``: one half of the key gives the prior, ``fold_in`` of the
    other half with n - 1 the noise of step n.
    """

    step: AboveZero = 0.01
    """Fraction of the residual in the first step, h_0; it grows towards 1."""
    beta: AboveZero = 0.1
    """Rate at which the level falls. 1 injects no noise; smaller values are slower and depend less
    on the initial state."""
    level_min: Positive = 0.01
    """Noise level at which a sample is finished, in units of the data."""
    max_steps: Steps = 1000
    """Maximum number of steps; a sample that needs more has not converged."""

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]) -> Samples:
        """Draws one sample of ``shape`` per key; nonfinite samples are marked as not converged."""
        start = jnp.ones((), precision_of(score))
        first_level = sde.noise_to_signal(start)

        def running(carry: tuple[Array, Array, Array]) -> Bool[Array, ""]:
            _, level, count = carry
            return (count == 0) | ((level > self.level_min) & (count < self.max_steps))

        def one(key: PRNGKeyArray, y: Array) -> tuple[Array, Array, Array]:
            def advance(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
                y, level, count = carry
                t = jnp.clip(sde.time_of(level), 0.0, 1.0)
                residual = denoised(score, sde, sde.alpha(t) * y[None], t)[0] - y
                noise = jax.random.normal(jax.random.fold_in(key, count), shape, y.dtype)
                return *self._move(y, residual, noise, count), count + 1

            return jax.lax.while_loop(running, advance, (y, first_level, jnp.asarray(0)))

        key_prior, key_noise = split_keys(keys)
        y = draw_prior(key_prior, sde, shape, start.dtype) / sde.alpha(start)
        x, levels, nfe = jax.vmap(one)(key_noise, y)
        return Samples(x, nfe, levels <= self.level_min)

    def _move(
        self,
        y: Float[Array, "*shape"],
        residual: Float[Array, "*shape"],
        noise: Float[Array, "*shape"],
        count: Int[Array, ""],
    ) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
        """Returns the next state after ``count`` steps, and the noise level of the current one."""
        level = jnp.sqrt((residual**2).mean())
        h = self.step * (count + 1) / (1 + self.step * count)
        gamma = level * jnp.sqrt(h * (1 - self.beta) * (2 - h - self.beta * h))
        moved = y + h * residual + gamma * noise
        return jnp.where(level > self.level_min, moved, y + residual), level
