"""A normalizing flow as an experiment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sde_jax.baselines.coupling_flow import CouplingFlow, CouplingFlowSpec
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.generative import Generative, direct_sampler, learner_of
from sde_jax.recipes.interfaces import Density, Draw
from sde_jax.sampling import Sampler
from sde_jax.training.learner import Learner
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training


@dataclass(frozen=True, kw_only=True)
class NormalizingFlow(Generative):
    """A flow of affine couplings, of a data set; with ``training.keep_best`` it is stopped early,
    at the lowest held-out loss."""

    kind: ClassVar[str] = "normalizing flow"
    data: DataSpec
    network: CouplingFlowSpec
    optimizer: Adam
    ema_decay: float
    """Decay of the running average of the parameters, which is what is sampled and measured."""
    training: Training
    sampling: None = None
    likelihood: None = None
    evaluation: EvaluationSettings = EvaluationSettings(sampling=None)

    def model(self) -> CouplingFlow:
        """The flow and its density."""
        return CouplingFlow(flow=self.network.build())

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """What the training loop trains, for examples of ``shape``."""
        return learner_of(self.model(), shape, self.optimizer, self.ema_decay, self.training)

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """What inverts the flow."""
        return direct_sampler(self.model(), layout.shape)

    def density(self, layout: Layout, settings: None) -> Density:
        """The exact one."""
        return self.model().log_likelihoods
