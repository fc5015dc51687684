"""The one loop of all samplers that step along a fixed grid."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, Key
from sde_jax.sampling.correctors import Corrector
from sde_jax.sampling.predictors import Move, Predictor
from sde_jax.sampling.protocol import Samples, draw_prior
from sde_jax.sampling.times import TimeGrid
from sde_jax.score import Score, denoised
from sde_jax.sde import LinearSDE


@dataclass(frozen=True, kw_only=True)
class PredictorCorrector:
    """Predictor-corrector sampling (Song et al. 2021, alg. 1): correct at t, then step to s.

    Sample j is a function of ``keys[j]``: one half of it gives the prior, ``fold_in`` of the other
    half with n the noise of the n-th move.

    Raises:
      ValueError: if there is neither a predictor nor a corrector, or ``frames`` is negative.
    """

    grid: TimeGrid
    predictor: Predictor | None
    corrector: Corrector | None = None
    denoise: bool = True
    """Whether to end with the posterior mean (one more evaluation), rid of the last noise."""
    frames: int = 0
    """States to keep on the way, besides the prior; 0 keeps none."""

    def __post_init__(self) -> None:
        if self.predictor is None and self.corrector is None:
            raise ValueError(
                "`predictor` and `corrector` must not both be None: nothing would move."
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
            x = self._advance(key_noise, score, sde, x, step, times[step], times[step + 1])
            return (x, trajectory.at[slots[step + 1]].set(x)), None

        (x, trajectory), _ = jax.lax.scan(advance, (x, trajectory), jnp.arange(steps))
        if self.denoise:
            x = denoised(score, sde, x, times[-1])
            trajectory = trajectory.at[slots[steps]].set(x)
        nfe = jnp.full(keys.shape, steps * self.evaluations + int(self.denoise))
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
    ) -> Float[Array, "batch *shape"]:
        moves: list[Move] = []
        if self.corrector is not None:
            moves += [self.corrector] * self.corrector.steps
        if self.predictor is not None:
            moves += [self.predictor]
        for position, move in enumerate(moves):
            noise = _noise(keys, step * len(moves) + position, x.shape[1:])
            x = move(noise, score, sde, x, t, s).x
        return x


def _noise(keys: Key[Array, "batch"], count: Array, shape: tuple[int, ...]) -> Array:
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, count), shape))(keys)
