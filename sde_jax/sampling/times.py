"""Time grids, from the prior down to the end of sampling."""

import operator
from dataclasses import dataclass
from typing import Annotated, Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float
from sde_jax.sde import LinearSDE
from sde_jax.validation import Positive, Rule, Spec, Steps

End = Annotated[float | None, Rule("be None or in [0, 1)", lambda t_min: 0 <= t_min < 1)]
"""The time at which sampling ends; None for ``sde.sampling_end``."""

# Default smallest noise level of grids for few steps, in units of the data.
_LEAST_NOISE = 0.01


class TimeGrid(Protocol):
    """Decreasing times from 1 to the end of sampling; each step leads from one time to the next."""

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]: ...


@dataclass(frozen=True, kw_only=True)
class UniformGrid(Spec):
    """Times equally spaced from 1 down to ``t_min``."""

    steps: Steps
    """Number of steps, one less than the number of times."""
    t_min: End = None
    """End of sampling; None for ``sde.sampling_end``. Published: 1e-3 for VP, 1e-5 for VE."""

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        return jnp.linspace(1.0, end_time(sde, self.t_min), self.steps + 1)


@dataclass(frozen=True, kw_only=True)
class PublishedGrid(UniformGrid):
    """The grid of the published code: ``steps`` equally spaced times from 1 to ``t_min``.

    A step starts from each of them, so the last time, ``t_min``, is repeated. Published rules such
    as `DDPMChain` take a last step from there; rules that follow the grid stay in place.
    """

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        """Returns the ``steps`` times for ``sde``, with the last one repeated."""
        end = end_time(sde, self.t_min)
        return jnp.append(jnp.linspace(1.0, end, self.steps), end)


@dataclass(frozen=True, kw_only=True)
class LogSNRGrid(Spec):
    """Times with equally spaced log signal-to-noise ratios (Lu et al. 2022).

    Processes with the same range of `noise_to_signal` take steps at the same noise levels.

    Raises:
      ValueError: when called, unless ``last`` is a noise level of the process at a t in [0, 1).
    """

    steps: Steps
    """Number of steps, one less than the number of times."""
    last: Annotated[float | None, Rule("be None or positive", lambda last: last > 0)] = None
    """noise_to_signal at the end of sampling; None for the larger of 0.01 and its value at
    ``sde.sampling_end``. The remaining noise is removed by denoising."""

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        if self.last is None:
            end = sde.time_of(jnp.maximum(sde.noise_to_signal(sde.sampling_end), _LEAST_NOISE))
        else:
            end = _times_of(sde, "last", self.last)
        most, least = (self._scale(sde.noise_to_signal(t)) for t in (jnp.ones_like(end), end))
        times = sde.time_of(self._inverse(jnp.linspace(most, least, self.steps + 1)))
        return times.at[0].set(1.0).at[-1].set(end)

    def _scale(self, noise: Array) -> Array:
        return jnp.log(noise)

    def _inverse(self, value: Array) -> Array:
        return jnp.exp(value)


@dataclass(frozen=True, kw_only=True)
class KarrasGrid(LogSNRGrid):
    """Times at which ``noise_to_signal^(1 / rho)`` is equally spaced (Karras et al. 2022, eq. 5).

    The paper's N levels before its last, 0, are ``steps = N - 1`` here. Its last step, from the
    smallest level to 0, returns the posterior mean, which is the default end of our samplers.
    """

    rho: Positive = 7.0
    """Concentration of the levels near the data; 1 is uniform in noise."""

    def _scale(self, noise: Array) -> Array:
        return noise ** (1 / self.rho)

    def _inverse(self, value: Array) -> Array:
        return value**self.rho


@dataclass(frozen=True, kw_only=True)
class FittedGrid(Spec):
    """Times at given values of `noise_to_signal`, such as those of `fit_grid`.

    Raises:
      ValueError: when called, unless they are noise levels of the process at a t in [0, 1).
    """

    levels: Annotated[
        tuple[float, ...],
        Rule(
            "be one or more positive numbers that decrease",
            lambda levels: min(levels, default=0) > 0 and all(map(operator.gt, levels, levels[1:])),
        ),
    ]
    """noise_to_signal at the end of each step; the first step starts at t = 1."""

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        times = _times_of(sde, "levels", self.levels)
        return jnp.concatenate([jnp.ones_like(times[:1]), times])


def _times_of(
    sde: LinearSDE, name: str, levels: float | tuple[float, ...]
) -> Float[Array, "*levels"]:
    """Returns the times of noise levels; raises ValueError if the process does not have one."""
    with jax.ensure_compile_time_eval():
        times = sde.time_of(jnp.asarray(levels))
        # The least level of a process may be rounded to a time below 0.
        if not ((times > -1e-6) & (times < 1)).all():
            least, most = sde.noise_to_signal(jnp.asarray([0.0, 1.0]))
            raise ValueError(
                f"`{name}` must be at least {least:.3g} and below {most:.3g}, the noise that {sde} "
                f"has: got {name}={levels}."
            )
    return jnp.maximum(times, 0)


def end_time(sde: LinearSDE, t_min: float | None) -> Float[Array, ""]:
    """Returns ``t_min``, or the default end of sampling if it is None.

    Raises:
      ValueError: if ``t_min`` is 0 and the process has no noise there.
    """
    if t_min is None:
        return sde.sampling_end
    if t_min == 0:
        with jax.ensure_compile_time_eval():
            singular = not sde.sigma(jnp.asarray(0.0)) > 0
        if singular:
            raise ValueError(
                f"`t_min` must be positive for {sde}: got t_min={t_min}, where the score is "
                "singular. 1e-5 is usual."
            )
    return jnp.asarray(t_min)
