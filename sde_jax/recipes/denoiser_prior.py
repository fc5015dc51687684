"""The recipe of denoisers, which are trained for denoising alone and sampled as a prior."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sde_jax.arrays import Examples, PerExample, PRNGKeyArray, PyTree
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.nets import NetworkSpec
from sde_jax.objectives import DenoiserRegression
from sde_jax.randomness import Seeds
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.given import score_sampler
from sde_jax.recipes.interfaces import Density, Draw
from sde_jax.recipes.likelihood_settings import FlowSettings
from sde_jax.recipes.protocols import flow_density
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.sampling import Sampler
from sde_jax.score import BlindDenoiserScore, DenoiserScore
from sde_jax.sde import VE
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training


@dataclass(frozen=True)
class BothDenoisers:
    """Two denoisers without common parameters. Only ``told`` takes the noise level as input."""

    told: DenoiserRegression
    blind: DenoiserRegression

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters of both for examples of ``shape``."""
        return {"told": self.told.init(key, shape), "blind": self.blind.init(key, shape)}

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Examples,
        *,
        deterministic: bool = False,
    ) -> PerExample:
        """Returns the sum of both errors of each example, at the same level and noise."""
        told, blind = (
            regression.losses(own, seeds, x, deterministic=deterministic)
            for regression, own in ((self.told, params["told"]), (self.blind, params["blind"]))
        )
        return told + blind


@dataclass(frozen=True, kw_only=True)
class DenoiserPrior(Generative):
    """Two denoisers: one takes the noise level as input, the other is blind to it.

    Samples and likelihoods are those of the distribution that the first one implies.
    """

    kind: ClassVar[str] = "denoiser"
    data: DataSpec
    network: NetworkSpec
    level_min: float = 0.05
    """Smallest standard deviation of the noise, in model coordinates."""
    level_max: float = 4.0
    """Largest standard deviation of the noise. Sampling starts there, so it must hide the data."""
    optimizer: Adam
    ema_decay: Decay
    """Decay of the running average of the parameters. The average is sampled and measured."""
    training: Training
    sampling: SamplerSettings = SamplerSettings()
    likelihood: FlowSettings = FlowSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @property
    def process(self) -> VE:
        """The process with the noise of the denoisers."""
        return VE(sigma_min=self.level_min, sigma_max=self.level_max)

    def model(self) -> BothDenoisers:
        """Builds both denoisers."""
        told, blind = (
            DenoiserRegression(
                network=self.network.build(),
                noise_conditional=told,
                level_min=self.level_min,
                level_max=self.level_max,
            )
            for told in (True, False)
        )
        return BothDenoisers(told, blind)

    def score(self, params: PyTree) -> DenoiserScore:
        """Returns the score of the denoiser with the noise level as input, by Tweedie's formula."""
        return DenoiserScore(self.model().told.denoiser(params["told"]), self.process)

    def blind_score(self, params: PyTree) -> BlindDenoiserScore:
        """Returns the score of the blind denoiser, by Tweedie's formula."""
        return BlindDenoiserScore(self.model().blind.denoiser(params["blind"]), self.process)

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """Returns the sampler of the denoiser with the noise level as input."""
        return score_sampler(self.score, self.process, sampler, layout.shape)

    def density(self, layout: Layout, settings: FlowSettings) -> Density:
        """Returns the density of its probability flow."""
        return flow_density(self.score, self.process, settings.build(), settings.probes)
