"""Published Markov chains that discretize an SDE, as transition rules with a fixed step.

A chain of N noise levels 0, ..., N - 1 places level i at time ``i / (N - 1)``. At time t it is at
level ``floor((N - 1) t)``. Its transition leads into that level, whatever the next time of the
sampler's grid.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Int
from sde_jax.sde.base import LinearSDE, Time
from sde_jax.sde.transitions import Transition
from sde_jax.validation import Levels, Spec, Steps

# Relative rounding error of (N - 1) * (i / (N - 1)) in float32.
_ROUNDING = 2e-7


def snap_to_whole(number: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Rounds ``number`` to the nearest integer if they differ only by float32 rounding error."""
    nearest = jnp.round(number)
    return jnp.where(jnp.abs(number - nearest) <= _ROUNDING * number, nearest, number)


@dataclass(frozen=True, kw_only=True)
class DDPMChain(Spec):
    """The chain of Ho et al. 2020, ``x_i = sqrt(1 - b_i) x_{i-1} + sqrt(b_i) noise``.

    It discretizes variance-preserving processes, for which ``g^2 = -2 a``, with
    ``b_i = g(i / (N - 1))^2 / N`` (Song et al. 2021, arXiv:2011.13456, eq. 10 and app. C). Its
    marginals are

    ::

        alpha_i^2 = (1 - b_0) ... (1 - b_i)     sigma_i^2 = 1 - alpha_i^2

    Raises:
      ValueError: when called, if the process does not preserve a unit variance or ``g(1)^2`` is not
        below ``levels``.
    """

    levels: Levels = 1000
    """Number of noise levels, N."""

    def __call__(self, sde: LinearSDE, s: Time, t: Time) -> Transition:
        """Returns the transition into the level at ``t``."""
        level, beta = self._level(t), self._betas(sde, t)
        log_square = self._log_squares(sde, t)
        # sigma^2 at level - 1 (0 for level 0) and at level
        below, above = (-jnp.expm1(log_square[level + step]) for step in (0, 1))
        variance = beta[level]
        return Transition(jnp.sqrt(1 - variance), variance, variance * below / above)

    def alpha(self, sde: LinearSDE, t: Time) -> Time:
        """Returns the signal scale of the level at ``t``."""
        return jnp.exp(0.5 * self._log_squares(sde, t)[self._level(t) + 1])

    def sigma(self, sde: LinearSDE, t: Time) -> Time:
        """Returns the standard deviation of the level at ``t`` given ``x_0``."""
        return jnp.sqrt(-jnp.expm1(self._log_squares(sde, t)[self._level(t) + 1]))

    def _level(self, t: Time) -> Int[Array, "*batch"]:
        return _level(t, self.levels).astype(int)

    def _betas(self, sde: LinearSDE, t: Time) -> Float[Array, "levels"]:
        """Returns ``b_i`` in the type of ``t``."""
        self._check(sde)
        times = jnp.linspace(0.0, 1.0, self.levels, dtype=jnp.asarray(t).dtype)
        return sde.diffusion_squared(times) / self.levels

    def _log_squares(self, sde: LinearSDE, t: Time) -> Float[Array, "levels+1"]:
        """Returns ``log alpha^2`` of the data, followed by that of each level."""
        return jnp.pad(jnp.cumsum(jnp.log1p(-self._betas(sde, t))), (1, 0))

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
class SMLDChain(Spec):
    """The chain of Song and Ermon 2019, ``x_i = x_{i-1} + sqrt(s_i^2 - s_{i-1}^2) noise``.

    It visits a process without drift at the levels ``s_i = sigma(i / (N - 1))`` (Song et al. 2021,
    arXiv:2011.13456, eq. 8 and app. C). Data below level 0 are taken as noise-free.

    Raises:
      ValueError: when called, if the process has a drift.
    """

    levels: Levels = 1000
    """Number of noise levels, N."""

    def __call__(self, sde: LinearSDE, s: Time, t: Time) -> Transition:
        """Returns the transition into the level at ``t``."""
        _check_no_drift(sde)
        level = _level(t, self.levels)
        sigma = sde.sigma(level / (self.levels - 1))
        below = jnp.where(level > 0, sde.sigma((level - 1) / (self.levels - 1)), 0.0)
        variance = (sigma - below) * (sigma + below)
        return Transition(jnp.ones_like(t), variance, variance * (below / sigma) ** 2)


@dataclass(frozen=True, kw_only=True)
class EulerChain(Spec):
    """Euler-Maruyama steps of any SDE, of scale ``1 + a(t) / N`` and variance ``g(t)^2 / N``.

    As in the published code, the step is ``1 / N`` whatever the sampler's grid. The posterior is
    that of the same step from the marginal at ``max(t - 1 / N, 0)``.
    """

    steps: Steps = 1000
    """Number of steps from data to prior, N."""

    def __call__(self, sde: LinearSDE, s: Time, t: Time) -> Transition:
        """Returns the transition of the step that ends at ``t``."""
        scale = 1 + sde.drift_rate(t) / self.steps
        variance = sde.diffusion_squared(t) / self.steps
        carried = (scale * sde.sigma(jnp.maximum(t - 1 / self.steps, 0.0))) ** 2
        remaining = carried / scale**2 * variance / (carried + variance)
        return Transition(scale, variance, remaining)


def _level(t: Time, levels: int) -> Time:
    return jnp.floor(snap_to_whole((levels - 1) * t))


def _check_no_drift(sde: LinearSDE) -> None:
    with jax.ensure_compile_time_eval():
        drifts = sde.drift_rate(jnp.asarray(0.5)) != 0
    if drifts:
        raise ValueError(
            f"`SMLDChain` discretizes processes without a drift, such as VE: got {sde}. "
            "`EulerChain` serves every SDE."
        )
