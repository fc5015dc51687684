"""The recipe of a variational autoencoder."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from sde_jax.baselines.autoencoder import AutoencoderSpec
from sde_jax.baselines.output import BernoulliOutput, GaussianOutput, OutputDistribution
from sde_jax.baselines.vae import VAE
from sde_jax.data.scaling import ImageScaling, Scaling
from sde_jax.data.source import DataSpec, Layout
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Density
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training
from sde_jax.validation import FINITE, Spec, at_least, at_most

OutputName = Literal["gaussian", "bernoulli"]


@dataclass(frozen=True, kw_only=True)
class BoundSettings(Spec):
    """Defaults of `likelihood`."""

    importance_samples: Annotated[int, at_least(1), at_most(10**6)] = 64
    """Number of latents for each example. More of them tighten the bound."""


@dataclass(frozen=True, kw_only=True)
class VariationalAutoencoder(Generative):
    """A variational autoencoder of images."""

    kind: ClassVar[str] = "VAE"
    bits: ClassVar[str] = "bits_per_dim_bound"
    data: DataSpec
    network: AutoencoderSpec
    output: OutputName = "gaussian"
    """Distribution of pixels given the latent: gaussian, with one learned deviation, or bernoulli,
    for black and white. Only data of two grey levels have a bernoulli likelihood."""
    beta: Annotated[float, FINITE] = 1.0
    """Weight of the divergence in the loss."""
    optimizer: Adam
    ema_decay: Decay
    """Decay of the running average of the parameters. The average is sampled and measured."""
    training: Training
    sampling: None = None
    likelihood: BoundSettings = BoundSettings()
    evaluation: EvaluationSettings = EvaluationSettings(sampling=None)

    def model(self, importance_samples: int = 1) -> VAE:
        """Builds the model.

        Raises:
          ValueError: if the shape of the data does not fit the networks.
        """
        layout = self.data.layout()
        return VAE(
            encoder=self.network.encoder(),
            decoder=self.network.decoder(layout.shape),
            output=output_of(self.output, layout.scaling),
            beta=self.beta,
            importance_samples=importance_samples,
        )

    def density(self, layout: Layout, settings: BoundSettings) -> Density | None:
        """Returns the importance weighted bound; None where the output is not a density."""
        model = self.model(settings.importance_samples)
        return model.log_likelihoods if model.output.is_density else None


def output_of(name: OutputName, scaling: Scaling) -> OutputDistribution:
    """Returns the distribution of pixels given a decoded image.

    Raises:
      ValueError: if there is none of this name, or it does not fit the data.
    """
    if name == "gaussian":
        return GaussianOutput()
    if name != "bernoulli":
        raise ValueError(f"`output` must be gaussian or bernoulli: got output={name!r}.")
    if not isinstance(scaling, ImageScaling):
        raise ValueError("`output` must be gaussian for points: got output='bernoulli'.")
    return BernoulliOutput(scaling=scaling)
