"""The interface of samplers, and the base of those with adaptive steps."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax.numpy as jnp
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Bool, Examples, Float, Int, Keys
from sde_jax.sampling.predictors import Predictor
from sde_jax.sampling.times import End, end_time
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE
from sde_jax.validation import NotNegativeInt, Spec


class Samples(NamedTuple):
    """Samples in model coordinates, and their cost."""

    x: Examples
    nfe: Int[Array, "batch"]
    """Number of score evaluations per sample."""
    converged: Bool[Array, "batch"]
    """False where a solver failed; such a sample is invalid."""
    trajectory: Float[Array, "batch frames *shape"] | None = None
    """Recorded states, from the prior to the sample; None unless requested."""
    trajectory_times: Float[Array, "batch frames"] | None = None
    """Times of these states."""

    def with_trajectory(
        self, states: Float[Array, "batch frames *shape"], times: Float[Array, "frames"]
    ) -> "Samples":
        """Adds the states at ``times``, which are the same for all samples."""
        times = jnp.broadcast_to(times, states.shape[:2])
        return self._replace(trajectory=states, trajectory_times=times)


class Sampler(Protocol):
    """A frozen spec, called with one key per sample and the shape of one sample.

    A sample depends on its own key only, not on other samples, the batch size or the device. It is
    computed in the precision of the score's arrays, float32 or float64.

    Raises:
      ValueError: unless there is one key for each sample.
    """

    def __call__(
        self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> Samples: ...


@dataclass(frozen=True, kw_only=True)
class AdaptiveSampler(Spec):
    """Integrates from t = 1 to ``t_min``, adaptively."""

    t_min: End = None
    """End time of the solve; None for ``sde.sampling_end``."""
    denoise: bool = True
    """Return the posterior mean of the last state, for one more evaluation."""
    ending: Predictor | None = None
    """The predictor whose mean at ``t_min`` replaces the posterior mean, as published; None for the
    posterior mean itself."""
    frames: NotNegativeInt = 0
    """Number of states to record besides the prior; 0 records none. The solve stops at each."""

    def times(self, sde: LinearSDE, dtype: DTypeLike = float) -> Float[Array, "times"]:
        """Returns the times at which the solve stops, from 1 down."""
        return jnp.linspace(1.0, end_time(sde, self.t_min), max(self.frames, 1) + 1, dtype=dtype)

    def finish(
        self,
        score: Score,
        sde: LinearSDE,
        states: Float[Array, "batch times *shape"],
        nfe: Int[Array, "batch"],
        converged: Bool[Array, "batch"],
    ) -> Samples:
        """Returns the samples and their trajectory, given the states at `times`."""
        times, x = self.times(sde, states.dtype), states[:, -1]
        if self.denoise and self.ending is not None:
            x = self.ending(jnp.zeros_like(x), score, sde, x, times[-1], times[-1]).mean
        elif self.denoise:
            x = denoised(score, sde, x, times[-1])
        samples = Samples(x, nfe + int(self.denoise), converged)
        return samples.with_trajectory(states.at[:, -1].set(x), times) if self.frames else samples
