"""Langevin correctors at a fixed time, and their step size rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PerExample, expand_like, sum_except_batch
from sde_jax.sampling.predictors import Move, Step
from sde_jax.score import Score
from sde_jax.sde import ExactTransition, LinearSDE, TransitionRule
from sde_jax.validation import Positive, Spec, at_least, at_most


class Corrector(Protocol):
    """A sequence of moves at a fixed time ``t``."""

    @property
    def moves(self) -> Sequence[Move]:
        """The moves at each time, in order, each with fresh noise."""
        ...

    @property
    def evaluations(self) -> int:
        """Total number of score evaluations."""
        ...


class StepSize(Protocol):
    """The Langevin step size before its factor ``a``, a scalar or one number per sample."""

    def __call__(
        self, snr: float, noise: Array, score: Array, sde: LinearSDE, t: Array
    ) -> Float[Array, "*batch"]: ...


@dataclass(frozen=True, kw_only=True)
class ScheduledStep:
    """``2 (snr sigma(t))^2``, a function of time alone.

    Samples do not depend on one another. It does not divide by the norm of a score, whose inverse
    square has no mean in one or two dimensions.
    """

    def __call__(
        self, snr: float, noise: Array, score: Array, sde: LinearSDE, t: Array
    ) -> Float[Array, "*batch"]:
        return 2 * (snr * sde.sigma(t)) ** 2


@dataclass(frozen=True, kw_only=True)
class SampleNormStep:
    """``2 (snr |noise| / |score|)^2`` with the norms of each sample; biased in few dimensions."""

    def __call__(
        self, snr: float, noise: Array, score: Array, sde: LinearSDE, t: Array
    ) -> PerExample:
        ratio = jnp.sqrt(sum_except_batch(noise**2) / sum_except_batch(score**2))
        return 2 * (snr * ratio) ** 2


@dataclass(frozen=True, kw_only=True)
class BatchNormStep:
    """``2 (snr |noise| / |score|)^2`` with norms averaged over the batch, as published.

    Song et al. 2021, alg. 4 and 5. Samples depend on the batch they are drawn in.
    """

    def __call__(
        self, snr: float, noise: Array, score: Array, sde: LinearSDE, t: Array
    ) -> Float[Array, ""]:
        noise_norm = jnp.sqrt(sum_except_batch(noise**2)).mean()
        score_norm = jnp.sqrt(sum_except_batch(score**2)).mean()
        return 2 * (snr * noise_norm / score_norm) ** 2


@dataclass(frozen=True, kw_only=True)
class Langevin(Spec):
    """Langevin dynamics, ``x' = x + e score + sqrt(2 e) noise`` (Song et al. 2021, alg. 4 and 5).

    The step size is ``e = a step_size`` with ``a = c^2`` of the transition ``x_t = c x_s + ...``
    over one grid step: 1 for VE, ``1 - beta_i`` of the published code for VP with its `DDPMChain`.
    At a fixed time, for a Gaussian of variance V, the stationary variance is
    ``V / (1 - e / (2 V))``.
    """

    snr: Positive = 0.16
    """Signal-to-noise ratio, which sets the step size; .01 to .27 is usual."""
    steps: Annotated[int, at_least(1), at_most(1000)] = 1
    """Langevin steps at each time."""
    step_size: StepSize = ScheduledStep()
    transition: TransitionRule = ExactTransition()
    """The exact transition along the grid, or that of a published chain."""

    @property
    def moves(self) -> Sequence[Move]:
        """``steps`` Langevin steps."""
        return [self] * self.steps

    @property
    def evaluations(self) -> int:
        """One per step."""
        return self.steps

    def __call__(
        self, noise: Array, score: Score, sde: LinearSDE, x: Array, t: Array, s: Array
    ) -> Step:
        gradient = score(x, t)
        factor = self.transition(sde, s, t).scale ** 2
        size = expand_like(factor * self.step_size(self.snr, noise, gradient, sde, t), x)
        mean = x + size * gradient
        return Step(mean + jnp.sqrt(2 * size) * noise, mean)
