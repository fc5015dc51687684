"""A generative adversarial network as an experiment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sde_jax.baselines.adversarial_loss import AdversarialLoss
from sde_jax.baselines.dcgan import DCGANSpec
from sde_jax.baselines.gan import GAN, gan_learner
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.recipes.evaluation_settings import MEASURABLE, EvaluationSettings
from sde_jax.recipes.generative import Generative, direct_sampler
from sde_jax.recipes.interfaces import Draw
from sde_jax.sampling import Sampler
from sde_jax.training.learner import Learner
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training


@dataclass(frozen=True, kw_only=True)
class AdversarialNetworks(Generative):
    """A generator of a data set and its discriminator."""

    kind: ClassVar[str] = "GAN"
    data: DataSpec
    network: DCGANSpec
    latent_dimension: int = 100
    """Numbers that an image is generated from."""
    loss: AdversarialLoss = AdversarialLoss()
    optimizer: Adam
    """The generator's."""
    discriminator_optimizer: Adam
    discriminator_steps: int = 1
    """Steps of the discriminator in each update, each with its part of the batch."""
    ema_decay: float
    """Decay of the running average of the parameters, which is what is sampled."""
    training: Training
    sampling: None = None
    likelihood: None = None
    evaluation: EvaluationSettings = EvaluationSettings(sampling=None, metrics=MEASURABLE)

    def model(self) -> GAN:
        """Both networks."""
        return GAN(
            generator=self.network.build_generator(),
            discriminator=self.network.build_discriminator(),
            latent_dimension=self.latent_dimension,
        )

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """What the training loop trains, for images of ``shape``."""
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

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """What generates."""
        return direct_sampler(self.model(), layout.shape)
