"""Training losses, their weightings and their distributions of time."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.objectives.classification import CrossEntropy as CrossEntropy
    from sde_jax.objectives.consistency import Consistency as Consistency
    from sde_jax.objectives.denoiser import (
        DenoiserRegression as DenoiserRegression,
        NetworkDenoiser as NetworkDenoiser,
    )
    from sde_jax.objectives.denoising import DenoisingScoreMatching as DenoisingScoreMatching
    from sde_jax.objectives.noisy_classification import NoisyCrossEntropy as NoisyCrossEntropy
    from sde_jax.objectives.sliced import (
        ImplicitScoreMatching as ImplicitScoreMatching,
        Projection as Projection,
        SlicedScoreMatching as SlicedScoreMatching,
    )
    from sde_jax.objectives.time_sampling import (
        DiscreteTimes as DiscreteTimes,
        LikelihoodTimes as LikelihoodTimes,
        LogitNormalTimes as LogitNormalTimes,
        LogNormalNoise as LogNormalNoise,
        SampledTimes as SampledTimes,
        StratifiedTimes as StratifiedTimes,
        TimeSampler as TimeSampler,
        UniformTimes as UniformTimes,
    )
    from sde_jax.objectives.weighting import (
        EDMWeighting as EDMWeighting,
        FlowWeighting as FlowWeighting,
        LikelihoodWeighting as LikelihoodWeighting,
        MinSNRWeighting as MinSNRWeighting,
        NoiseWeighting as NoiseWeighting,
        Weighting as Weighting,
    )
    from sde_jax.randomness import Seeds as Seeds, example_seeds as example_seeds
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
