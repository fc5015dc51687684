"""The one loop of all samplers that step along a fixed grid."""

from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Key
from sde_jax.sampling.correctors import Corrector
from sde_jax.sampling.predictors import Move, Predictor, Step
from sde_jax.sampling.protocol import Samples, draw_prior
from sde_jax.sampling.times import TimeGrid
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE

End = Literal["denoised", "mean", "state"]


@dataclass(frozen=True, kw_only=True)
class PredictorCorrector:
    """Predictor-corrector sampling (Song et al. 2021, alg. 1): correct at t, then step to s.

    Sample j is a function of ``keys[j]``: one half of it gives the prior, ``fold_in`` of the other
    half with n the noise of the n-th move.

    Raises:
      ValueError: if there is neither a predictor nor a corrector, ``end`` is not one of those
        listed, or ``frames`` is negative.
    """

    grid: TimeGrid
    predictor: Predictor | None
    corrector: Corrector | None = None
    end: End = "denoised"
    """What to return. denoised: the posterior mean of the last state, rid of its noise, for one
    more evaluation; mean: that of the last move, the state before its noise is added, as published;
    state: the last state itself."""
    frames: int = 0
    """States to keep on the way, besides the prior; 0 keeps none."""

    def __post_init__(self) -> None:
        if self.predictor is None and self.corrector is None:
            raise ValueError(
                "`predictor` and `corrector` must not both be None: nothing would move."
            )
        if self.end not in get_args(End):
            raise ValueError(
                f"`end` must be one of {', '.join(get_args(End))}: got end={self.end}."
            )
        if self.frames < 0:
            raise ValueError(f"`frames` must not be negative: got frames={self.frames}.")

    @property
    def evaluations(self) -> int:
        """Score evaluations in one step of the grid."""
        predictions = 0 if self.predictor is None else self.predictor.evaluations
        return predictions + (0 if self.corrector is None else self.corrector.steps)

    def __call__(
        self, keys: Key[Array, "batch"], score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> Samples:
        """Draws one sample of ``shape`` for each key."""
        times = self.grid(sde)
        steps = times.size - 1
        kept = self._kept(steps)
        # A state that is not kept goes to one more slot, the last.
        slots = jnp.full(steps + 1, kept.size).at[kept].set(jnp.arange(kept.size))
        key_prior, key_noise = jax.vmap(jax.random.split, out_axes=1)(keys)
        x = draw_prior(key_prior, sde, shape)
        trajectory = jnp.zeros((kept.size + 1, *x.shape), x.dtype).at[slots[0]].set(x)

        def advance(carry: tuple[Array, Array], step: Array) -> tuple[tuple[Array, Array], None]:
            x, trajectory = carry
            moved = self._advance(key_noise, score, sde, x, step, times[step], times[step + 1])
            x = moved.x
            if self.end == "mean":
                x = jnp.where(step == steps - 1, moved.mean, x)
            return (x, trajectory.at[slots[step + 1]].set(x)), None

        (x, trajectory), _ = jax.lax.scan(advance, (x, trajectory), jnp.arange(steps))
        if self.end == "denoised":
            x = denoised(score, sde, x, times[-1])
            trajectory = trajectory.at[slots[steps]].set(x)
        nfe = jnp.full(keys.shape, steps * self.evaluations + int(self.end == "denoised"))
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

    def _advance(
        self,
        keys: Key[Array, "batch"],
        score: Score,
        sde: LinearSDE,
        x: Float[Array, "batch *shape"],
        step: Array,
        t: Array,
        s: Array,
    ) -> Step:
        moves: list[Move] = []
        if self.corrector is not None:
            moves += [self.corrector] * self.corrector.steps
        if self.predictor is not None:
            moves += [self.predictor]
        moved = Step(x, x)
        for position, move in enumerate(moves):
            noise = _noise(keys, step * len(moves) + position, x.shape[1:])
            moved = move(noise, score, sde, moved.x, t, s)
        return moved


def _noise(keys: Key[Array, "batch"], count: Array, shape: tuple[int, ...]) -> Array:
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, count), shape))(keys)
