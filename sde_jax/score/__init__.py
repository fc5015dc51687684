"""Scores: gradients of the log density of noised data."""

from sde_jax.score.classifier import ClassifierModel, ClassLogProbability
from sde_jax.score.denoiser import BlindDenoiserScore, DenoiserScore, denoised, score_of_denoised
from sde_jax.score.exact import GaussianMixture, MixtureScore
from sde_jax.score.exact_flow import gaussian_flow, quantile_flow
from sde_jax.score.guidance import (
    DDNM,
    DPS,
    ClassifierFreeGuidance,
    LikelihoodGuidance,
    PiGDM,
)
from sde_jax.score.network import (
    DescendingIndex,
    FunctionNetwork,
    LogNoiseLevel,
    LogScaledTime,
    NetworkScore,
    NoiseLevel,
    NoiseLevels,
    ScaledTime,
    ScoreModel,
    TimeCondition,
)
from sde_jax.score.parameterization import (
    DataPrediction,
    EDMPrediction,
    NoisePrediction,
    Parameterization,
    ScorePrediction,
    VelocityPrediction,
)
from sde_jax.score.protocol import Score

__all__ = [
    "DDNM",
    "DPS",
    "BlindDenoiserScore",
    "ClassifierFreeGuidance",
    "ClassLogProbability",
    "ClassifierModel",
    "DataPrediction",
    "DenoiserScore",
    "DescendingIndex",
    "EDMPrediction",
    "FunctionNetwork",
    "GaussianMixture",
    "LikelihoodGuidance",
    "LogNoiseLevel",
    "LogScaledTime",
    "MixtureScore",
    "NetworkScore",
    "NoiseLevel",
    "NoiseLevels",
    "NoisePrediction",
    "Parameterization",
    "PiGDM",
    "ScaledTime",
    "Score",
    "ScoreModel",
    "ScorePrediction",
    "TimeCondition",
    "VelocityPrediction",
    "denoised",
    "gaussian_flow",
    "quantile_flow",
    "score_of_denoised",
]
