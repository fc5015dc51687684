"""Denoisers that were trained for denoising alone as an experiment, drawn from all the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sde_jax.arrays import Array, Float, PRNGKeyArray, PyTree
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.nets import NetworkSpec
from sde_jax.objectives import DenoiserRegression
from sde_jax.randomness import Seeds
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.generative import Generative, learner_of
from sde_jax.recipes.interfaces import Density, Draw
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import LikelihoodSettings, flow_density, score_sampler
from sde_jax.sampling import Sampler
from sde_jax.score import BlindDenoiserScore, DenoiserScore
from sde_jax.sde import VE
from sde_jax.training.learner import Learner
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training


@dataclass(frozen=True)
class BothDenoisers:
    """Two denoisers that share no parameter, ``told`` the noise level and ``blind``."""

    told: DenoiserRegression
    blind: DenoiserRegression

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters of both, for examples of ``shape``."""
        return {"told": self.told.init(key, shape), "blind": self.blind.init(key, shape)}

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Float[Array, "batch *shape"],
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns the sum of both errors of each example, at the same level and noise."""
        told, blind = (
            regression.losses(own, seeds, x, deterministic=deterministic)
            for regression, own in ((self.told, params["told"]), (self.blind, params["blind"]))
        )
        return told + blind


@dataclass(frozen=True, kw_only=True)
class DenoiserPrior(Generative):
    """Two denoisers, one told the noise level and one blind; what is drawn and measured is the
    distribution that the told one implies."""

    kind: ClassVar[str] = "denoiser"
    data: DataSpec
    network: NetworkSpec
    level_min: float = 0.05
    """Least deviation of the noise, in model coordinates."""
    level_max: float = 4.0
    """Largest deviation of the noise, which must hide the data: sampling starts there."""
    optimizer: Adam
    ema_decay: float
    """Decay of the running average of the parameters, which is what is sampled and measured."""
    training: Training
    sampling: SamplerSettings = SamplerSettings()
    likelihood: LikelihoodSettings = LikelihoodSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @property
    def process(self) -> VE:
        """The process whose noise the denoisers know."""
        return VE(sigma_min=self.level_min, sigma_max=self.level_max)

    def model(self) -> BothDenoisers:
        """Both denoisers."""
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

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """What the training loop trains, for examples of ``shape``: both denoisers."""
        return learner_of(self.model(), shape, self.optimizer, self.ema_decay, self.training)

    def score(self, params: PyTree) -> DenoiserScore:
        """The score by Tweedie's formula of the denoiser that is told the level."""
        return DenoiserScore(self.model().told.denoiser(params["told"]), self.process)

    def blind_score(self, params: PyTree) -> BlindDenoiserScore:
        """That of the one that is not."""
        return BlindDenoiserScore(self.model().blind.denoiser(params["blind"]), self.process)

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """What draws by the told denoiser."""
        return score_sampler(self.score, self.process, sampler, layout.shape)

    def density(self, layout: Layout, settings: LikelihoodSettings) -> Density:
        """The density of the told denoiser's probability flow."""
        return flow_density(self.score, self.process, settings.build())
