"""Sampling with a denoiser that is not told the noise level, along its own estimate of it."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, Float, Int, Key, PRNGKeyArray
from sde_jax.sampling.protocol import Samples, draw_prior
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE


@dataclass(frozen=True, kw_only=True)
class BlindAscent:
    """Stochastic coarse-to-fine ascent (Kadkhodaie and Simoncelli 2021, arXiv:2007.13640, alg. 1).

    In ``y = x / alpha``, with f the denoiser and D the dimension, step n = 1, 2, ... is

    ::

        residual = f(y) - y             h = step n / (1 + step (n - 1))
        level = |residual| / sqrt(D)    gamma^2 = ((1 - beta h)^2 - (1 - h)^2) level^2
        y' = y + h residual + gamma noise

    for by Miyasawa 1961 ``residual = level^2 grad log p(y)``: the noise is scaled by what the
    denoiser itself finds, and about ``1 - beta h`` of it is left. A sample ends with f(y) as soon
    as its level is ``level_min`` or less. The estimate is right where the data fill few of the D
    directions, and too small where they fill many.

    The score is that of a `BlindDenoiserScore`. To it the SDE gives no more than the prior: `VE`
    starts at the level ``sigma_max``, of which the data's mean must be a small part. A score that
    is told the time is told that of the last estimate.

    Sample j is a function of ``keys[j]``: one half of it gives the prior, ``fold_in`` of the other
    half with n - 1 the noise of step n.

    Raises:
      ValueError: unless ``step`` and ``beta`` are in (0, 1], ``level_min`` is positive and
        ``max_steps`` at least 1.
    """

    step: float = 0.01
    """Share of the residual in the first step, h_0; it grows towards 1."""
    beta: float = 0.1
    """How fast the level falls: 1 injects no noise, and less is slower and forgets the start."""
    level_min: float = 0.01
    """Noise level at which a sample is done, in units of the data."""
    max_steps: int = 1000
    """Steps after which a sample is given up."""

    def __post_init__(self) -> None:
        for name in ("step", "beta"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in (0, 1]: got {name}={getattr(self, name)}.")
        if not self.level_min > 0:
            raise ValueError(f"`level_min` must be positive: got level_min={self.level_min}.")
        if self.max_steps < 1:
            raise ValueError(f"`max_steps` must be at least 1: got max_steps={self.max_steps}.")

    def __call__(
        self, keys: Key[Array, "batch"], score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> Samples:
        """Draws one sample of ``shape`` for each key; one that is not finite has not converged."""
        start = jnp.asarray(1.0)
        first_level = sde.noise_to_signal(start)

        def running(carry: tuple[Array, Array, Array]) -> Bool[Array, ""]:
            _, level, count = carry
            return (count == 0) | ((level > self.level_min) & (count < self.max_steps))

        def one(key: PRNGKeyArray, y: Array) -> tuple[Array, Array, Array]:
            def advance(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
                y, level, count = carry
                t = jnp.clip(sde.time_of(level), 0.0, 1.0)
                residual = denoised(score, sde, sde.alpha(t) * y[None], t)[0] - y
                noise = jax.random.normal(jax.random.fold_in(key, count), shape)
                return *self._move(y, residual, noise, count), count + 1

            return jax.lax.while_loop(running, advance, (y, first_level, jnp.asarray(0)))

        key_prior, key_noise = jax.vmap(jax.random.split, out_axes=1)(keys)
        y = draw_prior(key_prior, sde, shape) / sde.alpha(start)
        x, levels, nfe = jax.vmap(one)(key_noise, y)
        return Samples(x, nfe, levels <= self.level_min)

    def _move(
        self,
        y: Float[Array, "*shape"],
        residual: Float[Array, "*shape"],
        noise: Float[Array, "*shape"],
        count: Int[Array, ""],
    ) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
        """The next state after ``count`` steps, and the level that was left before it."""
        level = jnp.sqrt((residual**2).mean())
        h = self.step * (count + 1) / (1 + self.step * count)
        gamma = level * jnp.sqrt(h * (1 - self.beta) * (2 - h - self.beta * h))
        moved = y + h * residual + gamma * noise
        return jnp.where(level > self.level_min, moved, y + residual), level
