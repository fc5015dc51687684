"""The recipe of a normalizing flow."""

from dataclasses import dataclass
from typing import ClassVar

from sde_jax.baselines.coupling_flow import CouplingFlow, CouplingFlowSpec
from sde_jax.data.source import DataSpec, Layout
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Density
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training


@dataclass(frozen=True, kw_only=True)
class NormalizingFlow(Generative):
    """A flow of affine couplings. With ``training.keep_best`` the checkpoint of the lowest held-out
    loss is used."""

    kind: ClassVar[str] = "normalizing flow"
    data: DataSpec
    network: CouplingFlowSpec
    optimizer: Adam
    ema_decay: Decay
    """Decay of the running average of the parameters. The average is sampled and measured."""
    training: Training
    sampling: None = None
    likelihood: None = None
    evaluation: EvaluationSettings = EvaluationSettings(sampling=None)

    def model(self) -> CouplingFlow:
        """Builds the flow."""
        return CouplingFlow(flow=self.network.build())

    def density(self, layout: Layout, settings: None) -> Density:
        """Returns the exact density."""
        return self.model().log_likelihoods
