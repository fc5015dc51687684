"""The score matching objectives that an experiment can choose from."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from sde_jax.objectives import (
    DenoisingScoreMatching,
    ImplicitScoreMatching,
    Projection,
    SlicedScoreMatching,
    TimeSampler,
    Weighting,
)
from sde_jax.score import ScoreModel
from sde_jax.validation import Spec, at_least, at_most

Objective = DenoisingScoreMatching | SlicedScoreMatching | ImplicitScoreMatching


@dataclass(frozen=True, kw_only=True)
class Matching(Spec):
    """An objective without its model, times and weighting."""

    objective: ClassVar[type[Objective]]

    def build(self, model: ScoreModel, times: TimeSampler, weighting: Weighting) -> Objective:
        """Builds the objective."""
        return self.objective(model=model, times=times, weighting=weighting, **vars(self))


@dataclass(frozen=True, kw_only=True)
class Denoising(Matching):
    """Denoising score matching: the target is the noise in the example."""

    objective = DenoisingScoreMatching

    reduction: Literal["mean", "half_sum"] = "mean"
    """mean: the mean of the squared errors of an example; half_sum: half of their sum."""


@dataclass(frozen=True, kw_only=True)
class Sliced(Matching):
    """Sliced score matching: products of the network's Jacobian with random directions."""

    objective = SlicedScoreMatching

    slices: Annotated[int, at_least(1), at_most(10**4)] = 1
    """Number of directions for each example."""
    projection: Projection = "rademacher"
    """Distribution of the directions: random signs, unit Gaussian, or uniform on a sphere."""
    variance_reduced: bool = True
    """True to use the squared norm of the score; False for its squared component along the
    direction."""


@dataclass(frozen=True, kw_only=True)
class Implicit(Matching):
    """Implicit score matching: the exact trace of the network's Jacobian, for few dimensions."""

    objective = ImplicitScoreMatching
