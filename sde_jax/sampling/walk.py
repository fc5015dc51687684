"""The one loop of all samplers that step along a fixed grid."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Int, Key, PyTree
from sde_jax.sampling.predictors import Step
from sde_jax.sampling.protocol import Samples, draw_prior
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE

End = Literal["denoised", "mean", "state"]

Advance = Callable[[Key[Array, "batch"], Any, PyTree, Int[Array, ""]], tuple[Step, PyTree]]
"""One step of the grid: of the keys of the noise, the states, what is remembered, and the step."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Draws the prior and steps through all of a grid, the same way for every sampler.

    Sample j is a function of ``keys[j]``: one half of it gives the prior, the other the noise.

    Raises:
      ValueError: if ``end`` is not one of those listed, or ``frames`` is negative.
    """

    end: End
    """What to return. denoised: the posterior mean of the last state, rid of its noise, for one
    more evaluation; mean: that of the last move, the state before its noise is added, as published;
    state: the last state itself."""
    frames: int
    """States to keep on the way, besides the prior; 0 keeps none."""

    def __post_init__(self) -> None:
        if self.end not in get_args(End):
            raise ValueError(
                f"`end` must be one of {', '.join(get_args(End))}: got end={self.end}."
            )
        if self.frames < 0:
            raise ValueError(f"`frames` must not be negative: got frames={self.frames}.")

    @property
    def last_evaluations(self) -> int:
        """Score evaluations after the last step."""
        return int(self.end == "denoised")

    def __call__(
        self,
        keys: Key[Array, "batch"],
        score: Score,
        sde: LinearSDE,
        shape: tuple[int, ...],
        times: Float[Array, "times"],
        advance: Advance,
        *,
        evaluations: int,
        remember: Callable[[Array], PyTree] = lambda x: None,
    ) -> Samples:
        """Draws one sample of ``shape`` for each key.

        Args:
          keys: one for each sample.
          score: what the last state is denoised by.
          sde: the forward process.
          shape: of one sample.
          times: the grid, from 1 down.
          advance: the step.
          evaluations: score evaluations in a step.
          remember: gives what the first step remembers, of the prior.
        """
        steps = times.size - 1
        kept = self._kept(steps)
        # A state that is not kept goes to one more slot, the last.
        slots = jnp.full(steps + 1, kept.size).at[kept].set(jnp.arange(kept.size))
        key_prior, key_noise = jax.vmap(jax.random.split, out_axes=1)(keys)
        x = draw_prior(key_prior, sde, shape)
        trajectory = jnp.zeros((kept.size + 1, *x.shape), x.dtype).at[slots[0]].set(x)

        def body(carry: tuple[Array, PyTree, Array], step: Array) -> tuple[Any, None]:
            x, memory, trajectory = carry
            moved, memory = advance(key_noise, x, memory, step)
            x = moved.x
            if self.end == "mean":
                x = jnp.where(step == steps - 1, moved.mean, x)
            return (x, memory, trajectory.at[slots[step + 1]].set(x)), None

        carry = (x, remember(x), trajectory)
        (x, _, trajectory), _ = jax.lax.scan(body, carry, jnp.arange(steps))
        if self.end == "denoised":
            x = denoised(score, sde, x, times[-1])
            trajectory = trajectory.at[slots[steps]].set(x)
        nfe = jnp.full(keys.shape, steps * evaluations + self.last_evaluations)
        samples = Samples(x, nfe, jnp.ones(keys.shape, bool))
        if not self.frames:
            return samples
        return samples._replace(
            trajectory=jnp.moveaxis(trajectory[:-1], 0, 1),
            trajectory_times=jnp.broadcast_to(times[kept], (len(x), kept.size)),
        )

    def _kept(self, steps: int) -> np.ndarray:
        """The steps after which the state is kept, the prior's 0 included."""
        if not self.frames:
            return np.zeros(0, int)
        return np.round(np.linspace(0, steps, min(self.frames, steps) + 1)).astype(int)


def step_noise(keys: Key[Array, "batch"], count: Array, shape: tuple[int, ...]) -> Array:
    """Unit Gaussian noise of the ``count``-th move, for each key."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, count), shape))(keys)
