"""Recipes: the models that can be trained, with their settings for sampling and measurement."""

from sde_jax.recipes.built_in import quickstart
from sde_jax.recipes.classification import Classification, Classifying
from sde_jax.recipes.conditional import QUESTIONS, Conditional, Task
from sde_jax.recipes.denoiser_prior import DenoiserPrior
from sde_jax.recipes.evaluation_settings import MEASURABLE, EvaluationSettings
from sde_jax.recipes.flow import NormalizingFlow
from sde_jax.recipes.gan import AdversarialNetworks
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Density, Draw, Measured
from sde_jax.recipes.latent import LatentScoreModel
from sde_jax.recipes.matching import Denoising, Implicit, Sliced
from sde_jax.recipes.named import Named
from sde_jax.recipes.noisy_classification import NoisyClassification
from sde_jax.recipes.published import published_experiment
from sde_jax.recipes.sampler_settings import SAMPLERS, SamplerName, SamplerSettings
from sde_jax.recipes.score import LikelihoodSettings, ScoreExperiment
from sde_jax.recipes.serialization import ConfigurationError, from_config, to_config
from sde_jax.recipes.trainable import Trainable
from sde_jax.recipes.vae import BoundSettings, VariationalAutoencoder

__all__ = [
    "MEASURABLE",
    "QUESTIONS",
    "SAMPLERS",
    "AdversarialNetworks",
    "BoundSettings",
    "Classification",
    "Classifying",
    "Conditional",
    "ConfigurationError",
    "Denoising",
    "DenoiserPrior",
    "Density",
    "Draw",
    "EvaluationSettings",
    "Generative",
    "Implicit",
    "LatentScoreModel",
    "LikelihoodSettings",
    "Measured",
    "Named",
    "NoisyClassification",
    "NormalizingFlow",
    "SamplerName",
    "SamplerSettings",
    "ScoreExperiment",
    "Sliced",
    "Task",
    "Trainable",
    "VariationalAutoencoder",
    "from_config",
    "published_experiment",
    "quickstart",
    "to_config",
]
