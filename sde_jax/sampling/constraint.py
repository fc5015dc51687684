"""Known data in sampling: maps of a step to a step that knows them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Key, expand_like, pytree
from sde_jax.sampling.predictor_corrector import PredictorCorrector
from sde_jax.sampling.predictors import Move, Step
from sde_jax.sampling.protocol import Samples
from sde_jax.score import Score
from sde_jax.sde import LinearSDE, transition


class Constraint(Protocol):
    """What is known of x_0; a pytree, so that other data cost no compilation."""

    def insert(
        self, known: Float[Array, "batch *shape"], x: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *shape"]:
        """``x`` with the part that is known of each example taken from ``known``."""

    @property
    def data(self) -> Float[Array, "batch *shape"]:
        """Examples of which that part is known."""


@pytree
@dataclass(frozen=True, kw_only=True)
class KnownPixels:
    """Where ``mask`` is 1 (or true), x_0 is ``data``: inpainting (Song et al. 2021, app. I.2)."""

    data: Float[Array, "batch *shape"]
    mask: Float[Array, "batch *shape"]
    """Of the shape of ``data``, or with 1 instead of a size."""

    def insert(
        self, known: Float[Array, "batch *shape"], x: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *shape"]:
        """``known`` where the mask is 1, ``x`` elsewhere."""
        return jnp.where(self.mask > 0, known, x)


@pytree
@dataclass(frozen=True, kw_only=True)
class KnownChannel:
    """One combination of channels is that of ``data``: colourization (Song et al. 2021, app. I.3).

    With u the unit vector along ``direction``, ``x' = x + u u . (known - x)`` in each pixel: in
    an orthonormal basis that begins with u, the first coordinate is known and the others are not.
    """

    data: Float[Array, "batch height width channels"]
    direction: Float[Array, "channels"]
    """Of grey: the luma's weights, or (1, 1, 1) as published."""

    def insert(
        self, known: Float[Array, "batch *shape"], x: Float[Array, "batch *shape"]
    ) -> Float[Array, "batch *shape"]:
        """``x`` moved along the direction alone, to where ``known`` is."""
        unit = (self.direction / jnp.linalg.norm(self.direction))[None, None, None]
        return x + unit * (unit * (known - x)).sum(axis=-1, keepdims=True)


@pytree
@dataclass(frozen=True, kw_only=True)
class Constrained:
    """A predictor-corrector sampler to which part of x_0 is known, by replacement.

    After every move the known part is that of ``alpha(s) x_0 + sigma(s) noise``, where s is the
    time that the move went to, with the move's own noise, for which that part has no other use; the
    mean of the move has ``alpha(s) x_0`` there. At the end it is x_0 itself.

    The known part is thus drawn rightly at every time, but what is unknown hears of it too late,
    from a new draw in every step. Repeated as by Lugmayr et al. 2022 (RePaint, arXiv:2201.09865,
    alg. 1), which goes to s, back to t by the forward process, and to s again, it hears of it more
    often: the error falls with ``repeats``, as many times as evaluations rise.

    Raises:
      ValueError: if ``sampler`` has no predictor or ends with its noisy state, or ``repeats`` is
        less than 1.
    """

    sampler: PredictorCorrector = field(metadata={"static": True})
    constraint: Constraint
    repeats: int = field(default=1, metadata={"static": True})
    """How many times each step of the predictor is taken; 1 is plain replacement."""

    def __post_init__(self) -> None:
        if self.sampler.predictor is None:
            raise ValueError("`sampler` must have a predictor: got predictor=None.")
        if self.sampler.end == "state":
            raise ValueError("`end` of `sampler` must be denoised or mean: got end=state.")
        if self.repeats < 1:
            raise ValueError(f"`repeats` must be at least 1: got repeats={self.repeats}.")

    def __call__(
        self, keys: Key[Array, "batch"], score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> Samples:
        """Draws one sample for each key, each with its own known part."""
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
        return samples._replace(x=self.constraint.insert(self.constraint.data, samples.x))


def _diffuse(noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array) -> Step:
    """The forward process from the next time s back to t: ``x_t = c x_s + sqrt(v) noise``."""
    scale, variance, _ = (expand_like(part, x) for part in transition(sde, s, t))
    return Step(scale * x + jnp.sqrt(variance) * noise, scale * x)


@dataclass(frozen=True)
class _ConstrainedMove:
    """A move to time ``t`` or ``s`` whose known part is as the data have it there."""

    move: Move
    constraint: Constraint
    stays: bool

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        moved = self.move(noise, score, sde, x, t, s)
        time = t if self.stays else s
        mean = expand_like(sde.alpha(time), x) * self.constraint.data
        known = mean + expand_like(sde.sigma(time), x) * noise
        insert = self.constraint.insert
        return Step(insert(known, moved.x), insert(mean, moved.mean))


class _Moves(NamedTuple):
    """All moves of a step of the grid, in turn, as a corrector's."""

    moves: Sequence[Move]
    evaluations: int
