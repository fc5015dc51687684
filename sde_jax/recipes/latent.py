"""The recipe of latent diffusion: a score model of the latents of an autoencoder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from sde_jax.baselines.autoencoder import AutoencoderSpec
from sde_jax.baselines.latent import LatentDiffusion
from sde_jax.baselines.vae import VAE
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.nets import UNetSpec
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Density, Draw
from sde_jax.recipes.likelihood_settings import FlowSettings
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.vae import OutputName, output_of
from sde_jax.sampling import Sampler
from sde_jax.score import ScoreModel
from sde_jax.sde import LinearSDE
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training
from sde_jax.validation import FINITE


@dataclass(frozen=True, kw_only=True)
class LatentScoreModel(Generative):
    """An autoencoder of images and a score model of its latents."""

    kind: ClassVar[str] = "latent score model"
    bits: ClassVar[str] = "bits_per_dim_bound"
    data: DataSpec
    autoencoder: AutoencoderSpec
    output: OutputName = "gaussian"
    """Distribution of pixels given the latent: gaussian, with one learned deviation, or bernoulli,
    for black and white. Only data of two grey levels have a bernoulli likelihood."""
    beta: Annotated[float, FINITE] = 1.0
    """Weight of the divergence in the loss of the autoencoder."""
    sde: LinearSDE
    network: UNetSpec
    """Network of the score, a function of latents."""
    optimizer: Adam
    ema_decay: Decay
    """Decay of the running average of the parameters. The average is sampled and measured."""
    training: Training
    sampling: SamplerSettings = SamplerSettings()
    likelihood: FlowSettings = FlowSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    def model(self) -> LatentDiffusion:
        """Builds the model, which has both networks.

        Raises:
          ValueError: if the shape of the data does not fit the networks.
        """
        layout = self.data.layout()
        autoencoder = VAE(
            encoder=self.autoencoder.encoder(),
            decoder=self.autoencoder.decoder(layout.shape),
            output=output_of(self.output, layout.scaling),
            beta=self.beta,
        )
        score = ScoreModel(network=self.network.build(), sde=self.sde)
        return LatentDiffusion(
            autoencoder=autoencoder, objective=DenoisingScoreMatching(model=score)
        )

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """Returns the sampler, which decodes sampled latents."""
        model = self.model()
        assert sampler is not None
        return lambda params, keys, index: model.sample(params, keys, layout.shape, sampler)

    def density(self, layout: Layout, settings: FlowSettings) -> Density | None:
        """Returns the bound from one latent; None where the output is not a density of the data."""
        model, likelihood = self.model(), settings.build()
        if not output_of(self.output, layout.scaling).is_density:
            return None
        return lambda params, keys, x: model.log_likelihoods(params, keys, x, likelihood)
