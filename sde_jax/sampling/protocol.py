"""The interface of samplers."""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, Float, Int, Key
from sde_jax.score import Score
from sde_jax.sde import LinearSDE


class Samples(NamedTuple):
    """Samples in model coordinates, and their cost."""

    x: Float[Array, "batch *shape"]
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

    A sample depends on its own key only, not on other samples, the batch size or the device.
    """

    def __call__(
        self, keys: Key[Array, "batch"], score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> Samples: ...


def draw_prior(
    keys: Key[Array, "batch"], sde: LinearSDE, shape: tuple[int, ...]
) -> Float[Array, "batch *shape"]:
    """Draws states at t = 1: Gaussian, of deviation ``sde.prior_scale``, each from its own key."""
    return sde.prior_scale * jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
