"""Predictor-corrector sampling."""

from dataclasses import dataclass

from sde_jax.arrays import Array, Float, Key
from sde_jax.sampling.correctors import Corrector
from sde_jax.sampling.grid_loop import End, GridLoop, step_noise
from sde_jax.sampling.predictors import Move, Predictor, Step
from sde_jax.sampling.protocol import Samples
from sde_jax.sampling.times import TimeGrid
from sde_jax.score import Score
from sde_jax.sde import LinearSDE


@dataclass(frozen=True, kw_only=True)
class PredictorCorrector:
    """Predictor-corrector sampling (Song et al. 2021, alg. 1): correct at t, then step to s.

    Sample j is a function of ``keys[j]``: one half of the key gives the prior, ``fold_in`` of the
    other half with n the noise of the n-th move.

    Raises:
      ValueError: if there is neither a predictor nor a corrector, ``end`` is not one of those
        listed, or ``frames`` is negative.
    """

    grid: TimeGrid
    predictor: Predictor | None
    corrector: Corrector | None = None
    end: End = "denoised"
    """State to return. denoised: the posterior mean of the last state, for one more evaluation.
    mean: the mean of the last move, before its noise is added, as published. state: the last state
    itself."""
    frames: int = 0
    """Number of states to record besides the prior; 0 records none."""

    def __post_init__(self) -> None:
        if self.predictor is None and self.corrector is None:
            raise ValueError("`predictor` and `corrector` must not both be None: set at least one.")
        self._loop()

    @property
    def evaluations(self) -> int:
        """Score evaluations per grid step."""
        predictions = 0 if self.predictor is None else self.predictor.evaluations
        return predictions + (0 if self.corrector is None else self.corrector.evaluations)

    def __call__(
        self, keys: Key[Array, "batch"], score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> Samples:
        """Draws one sample of ``shape`` per key."""
        times = self.grid(sde)

        def advance(keys: Key[Array, "batch"], x: Array, _: None, step: Array) -> tuple[Step, None]:
            return self._advance(keys, score, sde, x, step, times[step], times[step + 1]), None

        return self._loop()(keys, score, sde, shape, times, advance, evaluations=self.evaluations)

    def _loop(self) -> GridLoop:
        return GridLoop(end=self.end, frames=self.frames)

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
            moves += self.corrector.moves
        if self.predictor is not None:
            moves += [self.predictor]
        moved = Step(x, x)
        for position, move in enumerate(moves):
            noise = step_noise(keys, step * len(moves) + position, x.shape[1:])
            moved = move(noise, score, sde, moved.x, t, s)
        return moved
