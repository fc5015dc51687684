"""What a score model is trained to minimize."""

from sde_jax.objectives.denoising import DenoisingScoreMatching
from sde_jax.objectives.time_sampling import (
    DiscreteTimes,
    LikelihoodTimes,
    LogNormalNoise,
    SampledTimes,
    StratifiedTimes,
    TimeSampler,
    UniformTimes,
)
from sde_jax.objectives.weighting import (
    EDMWeighting,
    LikelihoodWeighting,
    MinSNRWeighting,
    NoiseWeighting,
    Weighting,
)

__all__ = [
    "DenoisingScoreMatching",
    "DiscreteTimes",
    "EDMWeighting",
    "LikelihoodTimes",
    "LikelihoodWeighting",
    "LogNormalNoise",
    "MinSNRWeighting",
    "NoiseWeighting",
    "SampledTimes",
    "StratifiedTimes",
    "TimeSampler",
    "UniformTimes",
    "Weighting",
]
