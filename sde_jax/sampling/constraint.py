"""Sampling under known data, by replacement of the known part in every step."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, Protocol

import jax.numpy as jnp

from sde_jax.arrays import Array, Examples, Float, Image, Keys, expand_like, pytree
from sde_jax.sampling.predictor_corrector import PredictorCorrector
from sde_jax.sampling.predictors import Move, Step
from sde_jax.sampling.protocol import Samples
from sde_jax.score import Score
from sde_jax.sde import LinearSDE, transition
from sde_jax.validation import Spec, at_least, at_most


class Constraint(Protocol):
    """A known part of x_0; a pytree, so that new data need no recompilation."""

    def insert(self, known: Examples, x: Examples) -> Examples:
        """Returns ``x`` with the known part of each example replaced by that of ``known``."""

    @property
    def data(self) -> Examples:
        """Examples that contain the known part."""


@pytree
@dataclass(frozen=True, kw_only=True)
class KnownPixels:
    """Inpainting: x_0 equals ``data`` where ``mask`` is 1 or true (Song et al. 2021, app. I.2)."""

    data: Examples
    mask: Examples
    """Mask of the shape of ``data``; dimensions of size 1 broadcast."""

    def insert(self, known: Examples, x: Examples) -> Examples:
        """Returns ``known`` where the mask is 1, ``x`` elsewhere."""
        return jnp.where(self.mask > 0, known, x)


@pytree
@dataclass(frozen=True, kw_only=True)
class KnownChannel:
    """Colorization: one linear combination of channels is known (Song et al. 2021, app. I.3).

    With u the unit vector along ``direction``, ``x' = x + u u . (known - x)`` in each pixel. In an
    orthonormal basis that starts with u, only the first coordinate is known.
    """

    data: Image
    direction: Float[Array, "channels"]
    """Weights of grey: the luma, or (1, 1, 1) as published."""

    def insert(self, known: Examples, x: Examples) -> Examples:
        """Returns ``x`` with its component along the direction replaced by that of ``known``."""
        unit = (self.direction / jnp.linalg.norm(self.direction))[None, None, None]
        return x + unit * (unit * (known - x)).sum(axis=-1, keepdims=True)


@pytree
@dataclass(frozen=True, kw_only=True)
class Constrained(Spec):
    """A predictor-corrector sampler conditioned on a part of x_0, by replacement.

    After every move the known part is replaced by that of ``alpha(s) x_0 + sigma(s) noise``, where
    s is the time the move leads to and the noise is that of the move. The mean of the move gets
    ``alpha(s) x_0`` there. At the end the known part is x_0 itself.

    The known part then has the right distribution at every time, but the unknown part adapts to it
    too late, since its noise is redrawn in every step. Resampling as in Lugmayr et al. 2022
    (RePaint, arXiv:2201.09865, alg. 1) steps to s, diffuses back to t, and steps to s again. The
    error falls with ``repeats``, at a proportional cost.

    Raises:
      ValueError: if ``sampler`` has no predictor or ends with its noisy state.
    """

    sampler: PredictorCorrector = field(metadata={"static": True})
    constraint: Constraint
    repeats: Annotated[int, at_least(1), at_most(1000)] = field(
        default=1, metadata={"static": True}
    )
    """Number of times that each predictor step is taken; 1 is plain replacement."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampler.predictor is None:
            raise ValueError("`sampler` must have a predictor: got predictor=None.")
        if self.sampler.end == "state":
            raise ValueError("`end` of `sampler` must be denoised or mean: got end=state.")

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]) -> Samples:
        """Draws one sample per key, conditioned on the known part of its example."""
        predictor, corrector = self.sampler.predictor, self.sampler.corrector
        assert predictor is not None
        correcting = [] if corrector is None else corrector.moves
        staying = [_ConstrainedMove(move, self.constraint, stays=True) for move in correcting]
        forth = _ConstrainedMove(predictor, self.constraint, stays=False)
        back = _ConstrainedMove(_diffuse, self.constraint, stays=True)
        evaluations = 0 if corrector is None else corrector.evaluations
        moves = _Moves(
            [*staying, *[forth, back] * (self.repeats - 1), forth],
            evaluations + self.repeats * predictor.evaluations,
        )
        sampler = dataclasses.replace(self.sampler, predictor=None, corrector=moves)
        samples = sampler(keys, score, sde, shape)
        data = self.constraint.data.astype(samples.x.dtype)
        return samples._replace(x=self.constraint.insert(data, samples.x))


def _diffuse(noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array) -> Step:
    """Runs the forward process from s back to t: ``x_t = c x_s + sqrt(v) noise``."""
    scale, variance, _ = (expand_like(part, x) for part in transition(sde, s, t))
    return Step(scale * x + jnp.sqrt(variance) * noise, scale * x)


@dataclass(frozen=True)
class _ConstrainedMove:
    """A move to time ``t`` or ``s`` followed by the replacement of the known part."""

    move: Move
    constraint: Constraint
    stays: bool

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        moved = self.move(noise, score, sde, x, t, s)
        time = t if self.stays else s
        mean = expand_like(sde.alpha(time), x) * self.constraint.data.astype(x.dtype)
        known = mean + expand_like(sde.sigma(time), x) * noise
        insert = self.constraint.insert
        return Step(insert(known, moved.x), insert(mean, moved.mean))


class _Moves(NamedTuple):
    """All moves of a grid step, in order, as a corrector."""

    moves: Sequence[Move]
    evaluations: int
