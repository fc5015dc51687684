"""Samplers whose network computes in a type of lower precision."""

from dataclasses import dataclass

from sde_jax.arrays import Keys
from sde_jax.sampling.protocol import Sampler, Samples
from sde_jax.score import NetworkScore, Score
from sde_jax.sde import LinearSDE
from sde_jax.validation import ComputeDtype, Spec


@dataclass(frozen=True, kw_only=True)
class LowPrecision(Spec):
    """Draws by a sampler, with a network that computes in ``dtype``.

    Parameters, states, times, noise and samples keep their types: only the inside of the network is
    rounded. A sample has the noise that it has without.

    Raises:
      ValueError: when called, if the score is not that of a network, or its network has no type of
        its own.
    """

    sampler: Sampler
    dtype: ComputeDtype = "bfloat16"

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]) -> Samples:
        if not isinstance(score, NetworkScore):
            raise ValueError(
                f"`compute_dtype` must be float32 for a {type(score).__name__}: got {self.dtype}."
            )
        return self.sampler(keys, score.computing_in(self.dtype), sde, shape)
