"""Scores: gradients of the log density of noised data."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.score.classifier import (
        ClassifierModel as ClassifierModel,
        ClassLogProbability as ClassLogProbability,
    )
    from sde_jax.score.denoiser import (
        BlindDenoiserScore as BlindDenoiserScore,
        DenoiserScore as DenoiserScore,
        denoised as denoised,
        score_of_denoised as score_of_denoised,
    )
    from sde_jax.score.exact import GaussianMixture as GaussianMixture, MixtureScore as MixtureScore
    from sde_jax.score.exact_flow import (
        gaussian_flow as gaussian_flow,
        quantile_flow as quantile_flow,
    )
    from sde_jax.score.guidance import (
        DDNM as DDNM,
        DPS as DPS,
        ClassifierFreeGuidance as ClassifierFreeGuidance,
        LikelihoodGuidance as LikelihoodGuidance,
        PiGDM as PiGDM,
    )
    from sde_jax.score.network import (
        DescendingIndex as DescendingIndex,
        FunctionNetwork as FunctionNetwork,
        LogNoiseLevel as LogNoiseLevel,
        LogScaledTime as LogScaledTime,
        NetworkScore as NetworkScore,
        NoiseLevel as NoiseLevel,
        NoiseLevels as NoiseLevels,
        ScaledTime as ScaledTime,
        ScoreModel as ScoreModel,
        TimeCondition as TimeCondition,
        computing_in as computing_in,
    )
    from sde_jax.score.parameterization import (
        DataPrediction as DataPrediction,
        EDMPrediction as EDMPrediction,
        FlowPrediction as FlowPrediction,
        NoisePrediction as NoisePrediction,
        Parameterization as Parameterization,
        ScorePrediction as ScorePrediction,
        VelocityPrediction as VelocityPrediction,
    )
    from sde_jax.score.protocol import Score as Score
    from sde_jax.score.trig_flow import TrigFlow as TrigFlow
    from sde_jax.score.unit_flow import UnitFlow as UnitFlow
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
