"""Samplers: solvers of the reverse-time SDE and of the probability-flow ODE."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.randomness import draw_prior as draw_prior
    from sde_jax.sampling.adaptive_reversal import (
        AdaptiveReversal as AdaptiveReversal,
        StochasticMethod as StochasticMethod,
    )
    from sde_jax.sampling.blind import BlindAscent as BlindAscent
    from sde_jax.sampling.consistency import JumpGrid as JumpGrid, Renoise as Renoise
    from sde_jax.sampling.constraint import (
        Constrained as Constrained,
        Constraint as Constraint,
        KnownChannel as KnownChannel,
        KnownPixels as KnownPixels,
    )
    from sde_jax.sampling.correctors import (
        BatchNormStep as BatchNormStep,
        Corrector as Corrector,
        Langevin as Langevin,
        SampleNormStep as SampleNormStep,
        ScheduledStep as ScheduledStep,
        StepSize as StepSize,
    )
    from sde_jax.sampling.each import draw_each as draw_each
    from sde_jax.sampling.editing import Edit as Edit
    from sde_jax.sampling.exponential import ExponentialAdams as ExponentialAdams
    from sde_jax.sampling.fitting import fit_grid as fit_grid
    from sde_jax.sampling.grid_loop import GridSampler as GridSampler
    from sde_jax.sampling.heun import Churn as Churn, Heun as Heun
    from sde_jax.sampling.latents import (
        Interpolation as Interpolation,
        Reconstruction as Reconstruction,
        interpolate as interpolate,
        reconstruction_error as reconstruction_error,
        spherical as spherical,
        tempered as tempered,
    )
    from sde_jax.sampling.low_precision import LowPrecision as LowPrecision
    from sde_jax.sampling.predictor_corrector import PredictorCorrector as PredictorCorrector
    from sde_jax.sampling.predictors import (
        DDIM as DDIM,
        Ancestral as Ancestral,
        EulerMaruyama as EulerMaruyama,
        Predictor as Predictor,
        ReverseDiffusion as ReverseDiffusion,
        Step as Step,
    )
    from sde_jax.sampling.probability_flow import ProbabilityFlow as ProbabilityFlow
    from sde_jax.sampling.protocol import (
        Sampler as Sampler,
        Samples as Samples,
    )
    from sde_jax.sampling.times import (
        FittedGrid as FittedGrid,
        KarrasGrid as KarrasGrid,
        LogSNRGrid as LogSNRGrid,
        PublishedGrid as PublishedGrid,
        TimeGrid as TimeGrid,
        UniformGrid as UniformGrid,
    )
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
