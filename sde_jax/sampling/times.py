"""Grids of times, from the prior down to where sampling ends."""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float
from sde_jax.sde import LinearSDE


class TimeGrid(Protocol):
    """Times from 1 down to the end of sampling; a step leads from each to the next."""

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
    """Where sampling ends; None for ``sde.sampling_end``. Published: 1e-3 for VP, 1e-5 for VE."""

    def __post_init__(self) -> None:
        check_steps(self.steps)
        check_end(self.t_min)

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        """The ``steps + 1`` times for ``sde``."""
        return jnp.linspace(1.0, end_time(sde, self.t_min), self.steps + 1)


@dataclass(frozen=True, kw_only=True)
class PublishedGrid:
    """``steps`` times equally spaced from 1 down to ``t_min``, both included, each of them stepped
    from, as in the published code.

    That code's own rules, such as `DDPMChain`, step from ``t_min``, too. Rules that follow the grid
    stay there: its last two times are both ``t_min``.

    Raises:
      ValueError: unless ``steps`` is at least 1 and ``t_min`` is in [0, 1).
    """

    steps: int
    """Number of steps, and of different times."""
    t_min: float | None = None
    """Where sampling ends; None for ``sde.sampling_end``. Published: 1e-3 for VP, 1e-5 for VE."""

    def __post_init__(self) -> None:
        check_steps(self.steps)
        check_end(self.t_min)

    def __call__(self, sde: LinearSDE) -> Float[Array, "times"]:
        """The ``steps`` times for ``sde``, and the last once more."""
        end = end_time(sde, self.t_min)
        return jnp.append(jnp.linspace(1.0, end, self.steps), end)


def check_steps(steps: int) -> None:
    """Raises `ValueError` unless ``steps`` is at least 1."""
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1: got steps={steps}.")


def check_end(t_min: float | None) -> None:
    """Raises `ValueError` unless ``t_min`` is None or in [0, 1)."""
    if t_min is not None and not 0 <= t_min < 1:
        raise ValueError(f"`t_min` must be None or in [0, 1): got t_min={t_min}.")


def end_time(sde: LinearSDE, t_min: float | None) -> Float[Array, ""]:
    """``t_min``, or the process' own end where it is None.

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
