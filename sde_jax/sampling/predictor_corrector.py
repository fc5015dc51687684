"""Predictor-corrector sampling."""

from dataclasses import dataclass

from sde_jax.arrays import Array, Keys
from sde_jax.randomness import step_noise
from sde_jax.sampling.correctors import Corrector
from sde_jax.sampling.grid_loop import GridSampler
from sde_jax.sampling.predictors import Move, Predictor, Step
from sde_jax.sampling.protocol import Samples
from sde_jax.score import Score
from sde_jax.sde import LinearSDE


@dataclass(frozen=True, kw_only=True)
class PredictorCorrector(GridSampler):
    """Predictor-corrector sampling (Song et al. 2021, alg. 1): correct at t, then step to s.

    Sample j is a function of ``keys[j]``: one half of the key gives the prior, ``fold_in`` of the
    other half with n the noise of the n-th move.

    Raises:
      ValueError: if there is neither a predictor nor a corrector.
    """

    predictor: Predictor | None
    corrector: Corrector | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.predictor is None and self.corrector is None:
            raise ValueError("`predictor` and `corrector` must not both be None: set at least one.")

    @property
    def follows_flow(self) -> bool:
        """True for a predictor of the probability flow alone."""
        follows = self.predictor is not None and self.predictor.follows_flow
        return follows and self.corrector is None

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]) -> Samples:
        times = self.times(score, sde)
        parts = [part for part in (self.corrector, self.predictor) if part is not None]
        moves: list[Move] = [] if self.corrector is None else [*self.corrector.moves]
        if self.predictor is not None:
            moves.append(self.predictor)

        def advance(keys: Keys, x: Array, _: None, step: Array) -> tuple[Step, None]:
            moved = Step(x, x)
            for position, move in enumerate(moves):
                count = step * len(moves) + position
                noise = step_noise(keys, count, x.shape[1:], x.dtype)
                moved = move(noise, score, sde, moved.x, times[step], times[step + 1])
            return moved, None

        evaluations = sum(part.evaluations for part in parts)
        return self.follow_grid(keys, score, sde, shape, times, advance, evaluations=evaluations)
