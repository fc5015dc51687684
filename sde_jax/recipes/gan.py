"""The recipe of a generative adversarial network."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from sde_jax.baselines.adversarial_loss import AdversarialLoss
from sde_jax.baselines.dcgan import DCGANSpec
from sde_jax.baselines.gan import GAN, gan_learner
from sde_jax.data.source import DataSpec
from sde_jax.recipes.evaluation_settings import MEASURABLE, EvaluationSettings
from sde_jax.recipes.generative import Generative
from sde_jax.training.learner import Learner
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training
from sde_jax.validation import at_least, at_most


@dataclass(frozen=True, kw_only=True)
class AdversarialNetworks(Generative):
    """A generator of images and its discriminator."""

    kind: ClassVar[str] = "GAN"
    data: DataSpec
    network: DCGANSpec
    latent_dimension: Annotated[int, at_least(1), at_most(2**16)] = 100
    """Dimension of the latent that an image is generated from."""
    loss: AdversarialLoss = AdversarialLoss()
    optimizer: Adam
    """The optimizer of the generator."""
    discriminator_optimizer: Adam
    discriminator_steps: Annotated[int, at_least(1), at_most(100)] = 1
    """Steps of the discriminator in each update, each on its own part of the batch."""
    ema_decay: Decay
    """Decay of the running average of the parameters. The average is sampled."""
    training: Training
    sampling: None = None
    likelihood: None = None
    evaluation: EvaluationSettings = EvaluationSettings(sampling=None, metrics=MEASURABLE)

    def model(self) -> GAN:
        """Builds the model, which has both networks."""
        return GAN(
            generator=self.network.build_generator(),
            discriminator=self.network.build_discriminator(),
            latent_dimension=self.latent_dimension,
        )

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """Builds the learner for images of ``shape``."""
        training = self.training
        if training.accumulate > 1:
            raise ValueError(f"`accumulate` must be 1 for a GAN: got {training.accumulate}.")
        if training.batch_size % self.discriminator_steps:
            raise ValueError(
                f"`discriminator_steps` must divide the batch of {training.batch_size}: got "
                f"{self.discriminator_steps}."
            )
        return gan_learner(
            self.model(),
            shape,
            self.loss,
            generator_optimizer=self.optimizer.build(training.steps),
            discriminator_optimizer=self.discriminator_optimizer.build(
                training.steps * self.discriminator_steps
            ),
            discriminator_steps=self.discriminator_steps,
            ema_decay=self.ema_decay,
        )
