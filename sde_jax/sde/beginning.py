"""The first part of a process, as a process of its own."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.sde.base import LinearSDE, Time


@dataclass(frozen=True, kw_only=True)
class Beginning(LinearSDE):
    """What ``sde`` does from the data until time ``end``, in the time ``t' = t / end``.

    The coefficients at t' are those of ``sde`` at ``end t'``, the rates ``end`` times as large::

        dx = end a(end t') x dt' + sqrt(end) g(end t') dw

    At t' = 1 the data are not forgotten: ``x = alpha(end) x_0 + sigma(end) noise``. Its "prior" is
    that of data at 0; who samples from it says what x_0 is measured from, as `Edit` does.

    Raises:
      ValueError: unless ``end`` is above ``sde.sampling_end`` and at most 1.
    """

    sde: LinearSDE
    end: float
    """The time of ``sde`` that is t' = 1."""

    def __post_init__(self) -> None:
        with jax.ensure_compile_time_eval():
            least = float(self.sde.sampling_end)
        if not least < self.end <= 1:
            raise ValueError(
                f"`end` must be above {least:.3g}, where sampling {self.sde} ends, and at most 1: "
                f"got end={self.end}."
            )

    def log_alpha(self, t: Time) -> Time:
        return self.sde.log_alpha(self.end * t)

    def sigma(self, t: Time) -> Time:
        return self.sde.sigma(self.end * t)

    def drift_rate(self, t: Time) -> Time:
        return self.end * self.sde.drift_rate(self.end * t)

    def diffusion_squared(self, t: Time) -> Time:
        return self.end * self.sde.diffusion_squared(self.end * t)

    def noise_to_signal(self, t: Time) -> Time:
        return self.sde.noise_to_signal(self.end * t)

    def time_of(self, noise_to_signal: Time) -> Time:
        return self.sde.time_of(noise_to_signal) / self.end

    @property
    def prior_scale(self) -> float:
        with jax.ensure_compile_time_eval():
            return float(self.sde.sigma(jnp.asarray(self.end)))

    @property
    def sampling_end(self) -> Time:
        """Where that of ``sde`` is."""
        return self.sde.sampling_end / self.end
