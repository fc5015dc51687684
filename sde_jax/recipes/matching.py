"""The ways to match scores that an experiment can choose from."""

from dataclasses import dataclass
from typing import Literal

from sde_jax.objectives import (
    DenoisingScoreMatching,
    ImplicitScoreMatching,
    Projection,
    SlicedScoreMatching,
    TimeSampler,
    Weighting,
)
from sde_jax.score import ScoreModel


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """By the noise that is in an example."""

    reduction: Literal["mean", "half_sum"] = "mean"
    """Mean of the squared errors of an example, or half of their sum."""

    def build(
        self, model: ScoreModel, times: TimeSampler, weighting: Weighting
    ) -> DenoisingScoreMatching:
        """The objective so described."""
        return DenoisingScoreMatching(
            model=model, times=times, weighting=weighting, reduction=self.reduction
        )


@dataclass(frozen=True, kw_only=True)
class Sliced:
    """By products of the network's Jacobian with random directions."""

    slices: int = 1
    """Directions for each example."""
    projection: Projection = "rademacher"
    """Random signs, unit Gaussian, or uniform on a sphere."""
    variance_reduced: bool = True
    """Whether the square of the score is taken as a whole rather than along the direction."""

    def build(
        self, model: ScoreModel, times: TimeSampler, weighting: Weighting
    ) -> SlicedScoreMatching:
        """The objective so described."""
        return SlicedScoreMatching(
            model=model,
            times=times,
            weighting=weighting,
            slices=self.slices,
            projection=self.projection,
            variance_reduced=self.variance_reduced,
        )


@dataclass(frozen=True, kw_only=True)
class Implicit:
    """By the trace of the network's Jacobian, for few dimensions."""

    def build(
        self, model: ScoreModel, times: TimeSampler, weighting: Weighting
    ) -> ImplicitScoreMatching:
        """The objective so described."""
        return ImplicitScoreMatching(model=model, times=times, weighting=weighting)
