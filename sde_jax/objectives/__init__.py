"""Training losses, their weightings and their distributions of time."""

from sde_jax.objectives.classification import CrossEntropy
from sde_jax.objectives.denoiser import DenoiserRegression, NetworkDenoiser
from sde_jax.objectives.denoising import DenoisingScoreMatching
from sde_jax.objectives.noisy_classification import NoisyCrossEntropy
from sde_jax.objectives.sliced import ImplicitScoreMatching, Projection, SlicedScoreMatching
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
from sde_jax.randomness import Seeds, example_seeds

__all__ = [
    "CrossEntropy",
    "DenoiserRegression",
    "DenoisingScoreMatching",
    "DiscreteTimes",
    "EDMWeighting",
    "ImplicitScoreMatching",
    "LikelihoodTimes",
    "LikelihoodWeighting",
    "LogNormalNoise",
    "MinSNRWeighting",
    "NetworkDenoiser",
    "NoiseWeighting",
    "NoisyCrossEntropy",
    "Projection",
    "SampledTimes",
    "Seeds",
    "SlicedScoreMatching",
    "StratifiedTimes",
    "TimeSampler",
    "UniformTimes",
    "Weighting",
    "example_seeds",
]
