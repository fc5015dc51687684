"""The score matching objectives that an experiment can choose from."""

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
    """Denoising score matching: the target is the noise in the example."""

    reduction: Literal["mean", "half_sum"] = "mean"
    """mean: the mean of the squared errors of an example; half_sum: half of their sum."""

    def build(
        self, model: ScoreModel, times: TimeSampler, weighting: Weighting
    ) -> DenoisingScoreMatching:
        """Builds the objective."""
        return DenoisingScoreMatching(
            model=model, times=times, weighting=weighting, reduction=self.reduction
        )


@dataclass(frozen=True, kw_only=True)
class Sliced:
    """Sliced score matching: products of the network's Jacobian with random directions."""

    slices: int = 1
    """Number of directions for each example."""
    projection: Projection = "rademacher"
    """Distribution of the directions: random signs, unit Gaussian, or uniform on a sphere."""
    variance_reduced: bool = True
    """True to use the squared norm of the score; False for its squared component along the
    direction."""

    def build(
        self, model: ScoreModel, times: TimeSampler, weighting: Weighting
    ) -> SlicedScoreMatching:
        """Builds the objective."""
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
    """Implicit score matching: the exact trace of the network's Jacobian, for few dimensions."""

    def build(
        self, model: ScoreModel, times: TimeSampler, weighting: Weighting
    ) -> ImplicitScoreMatching:
        """Builds the objective."""
        return ImplicitScoreMatching(model=model, times=times, weighting=weighting)
