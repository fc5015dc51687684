"""Time grids, from the prior down to the end of sampling."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float
from sde_jax.sde import LinearSDE

# Default smallest noise level of grids for few steps, in units of the data.
_LEAST_NOISE = 0.01


class TimeGrid(Protocol):
    """Decreasing times from 1 to the end of sampling; each step leads from one time to the next."""

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]: ...


@dataclass(frozen=True, kw_only=True)
class UniformGrid:
    """Times equally spaced from 1 down to ``t_min``.

    Raises:
      ValueError: unless ``steps`` is at least 1 and ``t_min`` is in [0, 1).
    """

    steps: int
    """Number of steps, one less than the number of times."""
    t_min: float | None = None
    """End of sampling; None for ``sde.sampling_end``. Published: 1e-3 for VP, 1e-5 for VE."""

    def __post_init__(self) -> None:
        check_steps(self.steps)
        check_end(self.t_min)

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        """Returns the ``steps + 1`` times for ``sde``."""
        return jnp.linspace(1.0, end_time(sde, self.t_min), self.steps + 1)


@dataclass(frozen=True, kw_only=True)
class PublishedGrid:
    """The grid of the published code: ``steps`` equally spaced times from 1 to ``t_min``.

    A step starts from each of them, so the last time, ``t_min``, is repeated. Published rules such
    as `DDPMChain` take a last step from there; rules that follow the grid stay in place.

    Raises:
      ValueError: unless ``steps`` is at least 1 and ``t_min`` is in [0, 1).
    """

    steps: int
    """Number of steps, and of distinct times."""
    t_min: float | None = None
    """End of sampling; None for ``sde.sampling_end``. Published: 1e-3 for VP, 1e-5 for VE."""

    def __post_init__(self) -> None:
        check_steps(self.steps)
        check_end(self.t_min)

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        """Returns the ``steps`` times for ``sde``, with the last one repeated."""
        end = end_time(sde, self.t_min)
        return jnp.append(jnp.linspace(1.0, end, self.steps), end)


@dataclass(frozen=True, kw_only=True)
class LogSNRGrid:
    """Times with equally spaced log signal-to-noise ratios (Lu et al. 2022).

    Processes with the same range of `noise_to_signal` take steps at the same noise levels.

    Raises:
      ValueError: unless ``steps`` is at least 1 and ``last`` is None or positive; when called,
        unless ``last`` is a noise level of the process at a t in [0, 1).
    """

    steps: int
    """Number of steps, one less than the number of times."""
    last: float | None = None
    """noise_to_signal at the end of sampling; None for the larger of 0.01 and its value at
    ``sde.sampling_end``. The remaining noise is removed by denoising."""

    def __post_init__(self) -> None:
        check_steps(self.steps)
        check_last(self.last)

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        """Returns the ``steps + 1`` times for ``sde``."""
        return _times_of_noise(sde, self.last, self.steps, jnp.log, jnp.exp)


@dataclass(frozen=True, kw_only=True)
class KarrasGrid:
    """Times at which ``noise_to_signal^(1 / rho)`` is equally spaced (Karras et al. 2022, eq. 5).

    The paper's N levels before its last, 0, are ``steps = N - 1`` here. Its last step, from the
    smallest level to 0, returns the posterior mean, which is the default end of our samplers.

    Raises:
      ValueError: unless ``steps`` is at least 1, ``rho`` positive, and ``last`` None or positive;
        when called, unless ``last`` is a noise level of the process at a t in [0, 1).
    """

    steps: int
    """Number of steps, one less than the number of times."""
    rho: float = 7.0
    """Concentration of the levels near the data; 1 is uniform in noise."""
    last: float | None = None
    """noise_to_signal at the end of sampling; None for the larger of 0.01 and its value at
    ``sde.sampling_end``. The remaining noise is removed by denoising."""

    def __post_init__(self) -> None:
        check_steps(self.steps)
        check_last(self.last)
        if not self.rho > 0:
            raise ValueError(f"`rho` must be positive: got rho={self.rho}.")

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        """Returns the ``steps + 1`` times for ``sde``."""
        rho = self.rho
        return _times_of_noise(
            sde, self.last, self.steps, lambda noise: noise ** (1 / rho), lambda root: root**rho
        )


def _times_of_noise(
    sde: LinearSDE,
    last: float | None,
    steps: int,
    scale: Callable[[Array], Array],
    inverse: Callable[[Array], Array],
) -> Float[Array, "times"]:
    """Returns times from 1 to noise level ``last``, equally spaced in ``scale`` of the noise."""
    if last is None:
        end = sde.time_of(jnp.maximum(sde.noise_to_signal(sde.sampling_end), _LEAST_NOISE))
    else:
        end = _time_of_last(sde, last)
    most, least = (scale(sde.noise_to_signal(t)) for t in (jnp.ones_like(end), end))
    times = sde.time_of(inverse(jnp.linspace(most, least, steps + 1)))
    return times.at[0].set(1.0).at[-1].set(end)


def _time_of_last(sde: LinearSDE, last: float) -> Float[Array, ""]:
    with jax.ensure_compile_time_eval():
        end = sde.time_of(jnp.asarray(last))
        if not 0 <= end < 1:
            least, most = sde.noise_to_signal(jnp.asarray([0.0, 1.0]))
            raise ValueError(
                f"`last` must be at least {least:.3g} and below {most:.3g}, the noise that {sde} "
                f"has: got last={last}."
            )
    return end


def check_steps(steps: int) -> None:
    """Raises `ValueError` unless ``steps`` is at least 1."""
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1: got steps={steps}.")


def check_last(last: float | None) -> None:
    """Raises `ValueError` unless ``last`` is None or positive."""
    if last is not None and not last > 0:
        raise ValueError(f"`last` must be None or positive: got last={last}.")


def check_end(t_min: float | None) -> None:
    """Raises `ValueError` unless ``t_min`` is None or in [0, 1)."""
    if t_min is not None and not 0 <= t_min < 1:
        raise ValueError(f"`t_min` must be None or in [0, 1): got t_min={t_min}.")


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
