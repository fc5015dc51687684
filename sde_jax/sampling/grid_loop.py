"""The loop of all samplers that step along a fixed grid."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Int, Keys, PyTree, precision_of
from sde_jax.randomness import draw_prior, split_keys
from sde_jax.sampling.predictors import Step
from sde_jax.sampling.protocol import Samples
from sde_jax.sampling.times import TimeGrid
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE
from sde_jax.validation import NotNegativeInt, Spec

End = Literal["denoised", "mean", "state"]

Advance = Callable[[Keys, Any, PyTree, Int[Array, ""]], tuple[Step, PyTree]]
"""One step of the grid: (noise keys, states, memory, step index) -> (step, new memory)."""


@dataclass(frozen=True, kw_only=True)
class GridSampler(Spec, abc.ABC):
    """Draws the prior and steps along a grid; the base of samplers that do.

    Sample j is a function of ``keys[j]``: one half of the key gives the prior, the other the noise.
    """

    grid: TimeGrid
    end: End = "denoised"
    """State to return. denoised: the posterior mean of the last state, for one more evaluation.
    mean: the mean of the last move, before its noise is added, as published. state: the last state
    itself."""
    frames: NotNegativeInt = 0
    """Number of states to record besides the prior; 0 records none."""

    @abc.abstractmethod
    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]) -> Samples:
        """Draws one sample of ``shape`` per key."""

    @property
    def last_evaluations(self) -> int:
        """Score evaluations after the last step."""
        return int(self.end == "denoised")

    @property
    def follows_flow(self) -> bool:
        """True if the steps are those of the probability flow, without noise."""
        return False

    def times(self, score: Score, sde: LinearSDE) -> Float[Array, "times"]:
        """Returns the grid in the precision of the score."""
        return self.grid(sde).astype(precision_of(score))

    def follow_grid(
        self,
        keys: Keys,
        score: Score,
        sde: LinearSDE,
        shape: tuple[int, ...],
        times: Float[Array, "times"],
        advance: Advance,
        *,
        evaluations: int,
        remember: Callable[[Array], PyTree] = lambda x: None,
    ) -> Samples:
        """Draws one sample of ``shape`` per key.

        Args:
          keys: one per sample.
          score: denoises the last state.
          sde: the forward process.
          shape: shape of one sample.
          times: the grid, decreasing from 1; its type is that of the states.
          advance: takes one step.
          evaluations: score evaluations per step.
          remember: returns the initial memory, given the prior.
        """
        steps = times.size - 1
        kept = self._kept(steps)
        # States that are not recorded overwrite an extra last slot.
        slots = jnp.full(steps + 1, kept.size).at[kept].set(jnp.arange(kept.size))
        key_prior, key_noise = split_keys(keys)
        x = draw_prior(key_prior, sde, shape, times.dtype)
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
        nfe = jnp.full(len(x), steps * evaluations + self.last_evaluations)
        samples = Samples(x, nfe, jnp.ones(len(x), bool))
        if not self.frames:
            return samples
        return samples.with_trajectory(jnp.moveaxis(trajectory[:-1], 0, 1), times[kept])

    def _kept(self, steps: int) -> np.ndarray:
        """Returns the numbers of steps after which to record the state, 0 for the prior."""
        if not self.frames:
            return np.zeros(0, int)
        return np.round(np.linspace(0, steps, min(self.frames, steps) + 1)).astype(int)
