"""Generative models to compare score models with, and models that contain a score model."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.baselines.adversarial_loss import AdversarialLoss as AdversarialLoss
    from sde_jax.baselines.autoencoder import (
        AutoencoderSpec as AutoencoderSpec,
        ImageDecoder as ImageDecoder,
        ImageEncoder as ImageEncoder,
        Posterior as Posterior,
    )
    from sde_jax.baselines.conditional import ConditionalDiffusion as ConditionalDiffusion
    from sde_jax.baselines.coupling_flow import (
        CouplingFlow as CouplingFlow,
        CouplingFlowSpec as CouplingFlowSpec,
        RealNVP as RealNVP,
    )
    from sde_jax.baselines.dcgan import (
        DCGANDiscriminator as DCGANDiscriminator,
        DCGANGenerator as DCGANGenerator,
        DCGANSpec as DCGANSpec,
    )
    from sde_jax.baselines.dequantizing_flow import (
        ConditionalCouplings as ConditionalCouplings,
        DequantizingFlow as DequantizingFlow,
        DequantizingFlowSpec as DequantizingFlowSpec,
        FlowDequantization as FlowDequantization,
    )
    from sde_jax.baselines.gan import GAN as GAN, gan_learner as gan_learner
    from sde_jax.baselines.latent import LatentDiffusion as LatentDiffusion
    from sde_jax.baselines.output import (
        BernoulliOutput as BernoulliOutput,
        GaussianOutput as GaussianOutput,
        OutputDistribution as OutputDistribution,
    )
    from sde_jax.baselines.vae import VAE as VAE
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
