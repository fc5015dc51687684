"""The published Markov chains that discretize an SDE; as rules of transition, they fix the step.

A chain of N noise levels 0, ..., N - 1 has them at the times ``i / (N - 1)``; at time t it is at
level ``floor((N - 1) t)``, and its transition is the one into that level, wherever the grid of the
sampler has its next time.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Int
from sde_jax.sde.base import LinearSDE, Time
from sde_jax.sde.transition import Transition

# Of a float32 time i / (N - 1), multiplied by N - 1 again.
_ROUNDING = 2e-7


def snap_to_whole(number: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """``number``, or the integer that it is but for the rounding of a quotient and a product."""
    nearest = jnp.round(number)
    return jnp.where(jnp.abs(number - nearest) <= _ROUNDING * number, nearest, number)


@dataclass(frozen=True, kw_only=True)
class DDPMChain:
    """The chain of Ho et al. 2020, ``x_i = sqrt(1 - b_i) x_{i-1} + sqrt(b_i) noise``.

    It discretizes a process that preserves a unit variance, ``g^2 = -2 a``, with
    ``b_i = g(i / (N - 1))^2 / N`` (Song et al. 2021, arXiv:2011.13456, eq. 10 and app. C), and
    has the marginals

    ::

        alpha_i^2 = (1 - b_0) ... (1 - b_i)     sigma_i^2 = 1 - alpha_i^2

    Raises:
      ValueError: unless ``levels`` is at least 2; when called, for any other kind of process, or
        where ``g(1)^2`` is not below ``levels``.
    """

    levels: int = 1000
    """Noise levels, N."""

    def __post_init__(self) -> None:
        check_levels(self.levels)

    def __call__(self, sde: LinearSDE, s: Time, t: Time) -> Transition:
        """The transition into the level at ``t``."""
        level, beta = self._level(t), self._betas(sde)
        log_square = self._log_squares(sde)
        # sigma^2 of level - 1, which is no noise at all below level 0, and of level
        below, above = (-jnp.expm1(log_square[level + step]) for step in (0, 1))
        variance = beta[level]
        return Transition(jnp.sqrt(1 - variance), variance, variance * below / above)

    def alpha(self, sde: LinearSDE, t: Time) -> Time:
        """Signal scale of the level at ``t``."""
        return jnp.exp(0.5 * self._log_squares(sde)[self._level(t) + 1])

    def sigma(self, sde: LinearSDE, t: Time) -> Time:
        """Standard deviation, given ``x_0``, of the level at ``t``."""
        return jnp.sqrt(-jnp.expm1(self._log_squares(sde)[self._level(t) + 1]))

    def _level(self, t: Time) -> Int[Array, "*batch"]:
        return _level(t, self.levels).astype(int)

    def _betas(self, sde: LinearSDE) -> Float[Array, "levels"]:
        self._check(sde)
        return sde.diffusion_squared(jnp.linspace(0.0, 1.0, self.levels)) / self.levels

    def _log_squares(self, sde: LinearSDE) -> Float[Array, "levels+1"]:
        """``log alpha^2`` of the data and then of each level."""
        return jnp.pad(jnp.cumsum(jnp.log1p(-self._betas(sde))), (1, 0))

    def _check(self, sde: LinearSDE) -> None:
        with jax.ensure_compile_time_eval():
            ends = jnp.asarray([0.5, 1.0])
            squares = sde.diffusion_squared(ends)
            preserved = jnp.allclose(squares, -2 * sde.drift_rate(ends), rtol=1e-4)
            most = float(squares[1])
        if not preserved:
            raise ValueError(
                "`DDPMChain` discretizes processes that preserve a unit variance, such as VP: got "
                f"{sde}. `EulerChain` serves every SDE."
            )
        if not most < self.levels:
            raise ValueError(
                f"`levels` must exceed g(1)^2 = {most:.3g} of {sde}: got levels={self.levels}."
            )


@dataclass(frozen=True, kw_only=True)
class SMLDChain:
    """The chain of Song and Ermon 2019, ``x_i = x_{i-1} + sqrt(s_i^2 - s_{i-1}^2) noise``.

    It visits a process that only adds noise at its own levels ``s_i = sigma(i / (N - 1))`` (Song et
    al. 2021, arXiv:2011.13456, eq. 8 and app. C); the data, below level 0, count as free of noise.

    Raises:
      ValueError: unless ``levels`` is at least 2, and when called for any other kind of process.
    """

    levels: int = 1000
    """Noise levels, N."""

    def __post_init__(self) -> None:
        check_levels(self.levels)

    def __call__(self, sde: LinearSDE, s: Time, t: Time) -> Transition:
        """The transition into the level at ``t``."""
        _check_no_drift(sde)
        level = _level(t, self.levels)
        sigma = sde.sigma(level / (self.levels - 1))
        below = jnp.where(level > 0, sde.sigma((level - 1) / (self.levels - 1)), 0.0)
        variance = (sigma - below) * (sigma + below)
        return Transition(jnp.ones_like(t), variance, variance * (below / sigma) ** 2)


@dataclass(frozen=True, kw_only=True)
class EulerChain:
    """Euler-Maruyama steps along any SDE, of scale ``1 + a(t) / N`` and variance ``g(t)^2 / N``.

    The step is ``1 / N`` whatever that of the sampler's grid, as in the published code. The
    posterior is that of the same step from the marginal at ``max(t - 1 / N, 0)``.

    Raises:
      ValueError: unless ``steps`` is at least 1.
    """

    steps: int = 1000
    """Steps from data to prior, N."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"`steps` must be at least 1: got steps={self.steps}.")

    def __call__(self, sde: LinearSDE, s: Time, t: Time) -> Transition:
        """The transition of one step that ends at ``t``."""
        scale = 1 + sde.drift_rate(t) / self.steps
        variance = sde.diffusion_squared(t) / self.steps
        carried = (scale * sde.sigma(jnp.maximum(t - 1 / self.steps, 0.0))) ** 2
        remaining = carried / scale**2 * variance / (carried + variance)
        return Transition(scale, variance, remaining)


def _level(t: Time, levels: int) -> Time:
    return jnp.floor(snap_to_whole((levels - 1) * t))


def check_levels(levels: int) -> None:
    """Raises `ValueError` unless a chain can have this number of levels."""
    if levels < 2:
        raise ValueError(f"`levels` must be at least 2: got levels={levels}.")


def _check_no_drift(sde: LinearSDE) -> None:
    with jax.ensure_compile_time_eval():
        drifts = sde.drift_rate(jnp.asarray(0.5)) != 0
    if drifts:
        raise ValueError(
            f"`SMLDChain` discretizes processes without a drift, such as VE: got {sde}. "
            "`EulerChain` serves every SDE."
        )
