"""What a sampler takes and gives."""

from typing import NamedTuple, Protocol

import jax

from sde_jax.arrays import Array, Bool, Float, Int, Key
from sde_jax.score import Score
from sde_jax.sde import LinearSDE


class Samples(NamedTuple):
    """Samples in model coordinates, and what they cost."""

    x: Float[Array, "batch *shape"]
    nfe: Int[Array, "batch"]
    """Evaluations of the score made for each sample."""
    converged: Bool[Array, "batch"]
    """False where an adaptive solver gave up; such a sample is not one."""
    trajectory: Float[Array, "batch frames *shape"] | None = None
    """States on the way, prior first and the end last, if asked for."""
    trajectory_times: Float[Array, "batch frames"] | None = None
    """The times of these states."""


class Sampler(Protocol):
    """A frozen spec, called with one key for each sample and the shape of one.

    A sample depends on its own key alone: not on its neighbours, the batch size or the device.
    """

    def __call__(
        self, keys: Key[Array, "batch"], score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> Samples: ...


def draw_prior(
    keys: Key[Array, "batch"], sde: LinearSDE, shape: tuple[int, ...]
) -> Float[Array, "batch *shape"]:
    """States at t = 1: Gaussian, of deviation ``sde.prior_scale``, each from its own key."""
    return sde.prior_scale * jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
