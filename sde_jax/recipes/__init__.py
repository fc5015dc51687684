"""Recipes: the models that can be trained, with their settings for sampling and measurement."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.recipes.built_in import numbers as numbers, quickstart as quickstart
    from sde_jax.recipes.classification import (
        Classification as Classification,
        Classifying as Classifying,
        NoisyClassification as NoisyClassification,
    )
    from sde_jax.recipes.conditional import (
        QUESTIONS as QUESTIONS,
        Conditional as Conditional,
        Task as Task,
    )
    from sde_jax.recipes.denoiser_prior import DenoiserPrior as DenoiserPrior
    from sde_jax.recipes.dequantization import Dequantization as Dequantization
    from sde_jax.recipes.evaluation_settings import (
        MEASURABLE as MEASURABLE,
        EvaluationSettings as EvaluationSettings,
    )
    from sde_jax.recipes.flow import NormalizingFlow as NormalizingFlow
    from sde_jax.recipes.gan import AdversarialNetworks as AdversarialNetworks
    from sde_jax.recipes.generative import Generative as Generative
    from sde_jax.recipes.interfaces import Density as Density, Draw as Draw, Measured as Measured
    from sde_jax.recipes.latent import LatentScoreModel as LatentScoreModel
    from sde_jax.recipes.likelihood_settings import (
        FlowSettings as FlowSettings,
        LikelihoodSettings as LikelihoodSettings,
    )
    from sde_jax.recipes.matching import (
        Denoising as Denoising,
        Implicit as Implicit,
        Sliced as Sliced,
    )
    from sde_jax.recipes.named import Named as Named
    from sde_jax.recipes.published import published_experiment as published_experiment
    from sde_jax.recipes.sampler_settings import (
        SAMPLERS as SAMPLERS,
        SamplerName as SamplerName,
        SamplerSettings as SamplerSettings,
    )
    from sde_jax.recipes.score import ScoreExperiment as ScoreExperiment
    from sde_jax.recipes.serialization import (
        ConfigurationError as ConfigurationError,
        from_config as from_config,
        to_config as to_config,
    )
    from sde_jax.recipes.student import Student as Student
    from sde_jax.recipes.trainable import Trainable as Trainable
    from sde_jax.recipes.vae import (
        BoundSettings as BoundSettings,
        VariationalAutoencoder as VariationalAutoencoder,
    )
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
