"""Samplers: solvers of the reverse-time SDE and of the probability-flow ODE."""

from sde_jax.sampling.adaptive_reversal import AdaptiveReversal, StochasticMethod
from sde_jax.sampling.blind import BlindAscent
from sde_jax.sampling.constraint import Constrained, Constraint, KnownChannel, KnownPixels
from sde_jax.sampling.correctors import (
    BatchNormStep,
    Corrector,
    Langevin,
    SampleNormStep,
    ScheduledStep,
    StepSize,
)
from sde_jax.sampling.each import draw_each
from sde_jax.sampling.editing import Edit
from sde_jax.sampling.exponential import ExponentialAdams
from sde_jax.sampling.heun import Churn, Heun
from sde_jax.sampling.latents import (
    Interpolation,
    Reconstruction,
    interpolate,
    reconstruction_error,
    spherical,
    tempered,
)
from sde_jax.sampling.predictor_corrector import PredictorCorrector
from sde_jax.sampling.predictors import (
    DDIM,
    Ancestral,
    EulerMaruyama,
    Predictor,
    ReverseDiffusion,
    Step,
    check_eta,
)
from sde_jax.sampling.probability_flow import ProbabilityFlow
from sde_jax.sampling.protocol import Sampler, Samples, draw_prior
from sde_jax.sampling.times import KarrasGrid, LogSNRGrid, PublishedGrid, TimeGrid, UniformGrid

__all__ = [
    "DDIM",
    "AdaptiveReversal",
    "Ancestral",
    "BatchNormStep",
    "BlindAscent",
    "Churn",
    "Constrained",
    "Constraint",
    "Corrector",
    "Edit",
    "EulerMaruyama",
    "ExponentialAdams",
    "Heun",
    "Interpolation",
    "KarrasGrid",
    "KnownChannel",
    "KnownPixels",
    "Langevin",
    "LogSNRGrid",
    "Predictor",
    "PredictorCorrector",
    "ProbabilityFlow",
    "PublishedGrid",
    "Reconstruction",
    "ReverseDiffusion",
    "SampleNormStep",
    "Sampler",
    "Samples",
    "ScheduledStep",
    "Step",
    "StepSize",
    "StochasticMethod",
    "TimeGrid",
    "UniformGrid",
    "check_eta",
    "draw_each",
    "draw_prior",
    "interpolate",
    "reconstruction_error",
    "spherical",
    "tempered",
]
