"""The recipe of a dequantizer, which is learned for a trained score model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from sde_jax.arrays import Examples, PerExample, PRNGKeyArray, PyTree
from sde_jax.baselines.dequantizing_flow import DequantizingFlow, DequantizingFlowSpec
from sde_jax.data.source import Batch, DataSpec
from sde_jax.randomness import Seeds
from sde_jax.recipes.protocols import Measurement
from sde_jax.recipes.trainable import Trainable
from sde_jax.score import Score
from sde_jax.training.learner import Learner
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training


@dataclass(frozen=True, kw_only=True)
class Dequantization(Trainable):
    """A conditional flow of noise in the bins of grey levels, for the variational protocol.

    It raises the bound on the probability of the data under a score model that stays as it is.
    """

    kind: ClassVar[str] = "dequantizer"
    learns_from: ClassVar[str | None] = "score"
    data: DataSpec
    score: str
    """The run of the score model: a path, or the name of a run in the same folder."""
    network: DequantizingFlowSpec = DequantizingFlowSpec()
    optimizer: Adam
    ema_decay: Decay
    """Decay of the running average of the parameters. The average is used."""
    training: Training

    def model(self) -> DequantizingFlow:
        """Builds the flow."""
        return DequantizingFlow(network=self.network.build())

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """Builds a learner that has a state but no losses: they need the score."""

        def losses(
            params: PyTree, seeds: Seeds, batch: Batch, *, deterministic: bool
        ) -> PerExample:
            raise ValueError("a dequantizer has no losses without a score: see `learner_for`.")

        return self.minimizing(self._init(shape), losses)

    def learner_for(
        self, shape: tuple[int, ...], score: Score, measurement: Measurement
    ) -> Learner:
        """Builds the learner of examples of ``shape`` for a score that is measured so."""
        model = self.model()

        def at_start(x: Examples) -> Examples:
            return score(x, jnp.full(len(x), measurement.start, x.dtype))

        def losses(
            params: PyTree, seeds: Seeds, batch: Batch, *, deterministic: bool
        ) -> PerExample:
            middles = measurement.middles(batch.x)
            return model.losses(params, seeds, middles, at_start, measurement.half_width)

        return self.minimizing(self._init(shape), losses)

    def _init(self, shape: tuple[int, ...]) -> Callable[[PRNGKeyArray], PyTree]:
        model = self.model()
        return lambda key: model.init(key, shape)
