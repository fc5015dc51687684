"""Generative models to compare score models with, and models that contain a score model."""

from sde_jax.baselines.adversarial_loss import AdversarialLoss
from sde_jax.baselines.autoencoder import AutoencoderSpec, ImageDecoder, ImageEncoder, Posterior
from sde_jax.baselines.conditional import ConditionalDiffusion
from sde_jax.baselines.coupling_flow import CouplingFlow, CouplingFlowSpec, RealNVP
from sde_jax.baselines.dcgan import DCGANDiscriminator, DCGANGenerator, DCGANSpec
from sde_jax.baselines.gan import GAN, gan_learner
from sde_jax.baselines.latent import LatentDiffusion
from sde_jax.baselines.output import BernoulliOutput, GaussianOutput, OutputDistribution
from sde_jax.baselines.vae import VAE

__all__ = [
    "GAN",
    "VAE",
    "AdversarialLoss",
    "AutoencoderSpec",
    "BernoulliOutput",
    "ConditionalDiffusion",
    "CouplingFlow",
    "CouplingFlowSpec",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DCGANSpec",
    "GaussianOutput",
    "ImageDecoder",
    "ImageEncoder",
    "LatentDiffusion",
    "OutputDistribution",
    "Posterior",
    "RealNVP",
    "gan_learner",
]
