"""A process restricted to the time interval from 0 to some end, rescaled to [0, 1]."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.sde.base import LinearSDE, Time


@dataclass(frozen=True, kw_only=True)
class TruncatedSDE(LinearSDE):
    """The process ``sde`` on the interval [0, ``end``], in the rescaled time ``t' = t / end``.

    Coefficients at t' are those of ``sde`` at ``end t'``; rates are multiplied by ``end``::

        dx = end a(end t') x dt' + sqrt(end) g(end t') dw

    At t' = 1 the signal has not vanished: ``x = alpha(end) x_0 + sigma(end) noise``. The prior is
    that of data at 0, so samplers must subtract the mean of x first, as `Edit` does.

    Raises:
      ValueError: unless ``end`` is above ``sde.sampling_end`` and at most 1.
    """

    sde: LinearSDE
    end: float
    """Time of ``sde`` that corresponds to t' = 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        with jax.ensure_compile_time_eval():
            least = float(self.sde.sampling_end)
        if not least < self.end <= 1:
            raise ValueError(
                f"`end` must be above {least:.3g}, the end of sampling of {self.sde}, and at most "
                f"1: got end={self.end}."
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
        """End of sampling of ``sde``, in t'."""
        return self.sde.sampling_end / self.end
