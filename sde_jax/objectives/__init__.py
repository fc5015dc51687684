"""What a score model is trained to minimize."""

from sde_jax.objectives.denoising import DenoisingScoreMatching
from sde_jax.objectives.time_sampling import (
    LikelihoodTimes,
    SampledTimes,
    StratifiedTimes,
    TimeSampler,
    UniformTimes,
)
from sde_jax.objectives.weighting import LikelihoodWeighting, NoiseWeighting, Weighting

__all__ = [
    "DenoisingScoreMatching",
    "LikelihoodTimes",
    "LikelihoodWeighting",
    "NoiseWeighting",
    "SampledTimes",
    "StratifiedTimes",
    "TimeSampler",
    "UniformTimes",
    "Weighting",
]
