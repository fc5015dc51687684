"""Experiments whose runs samples are drawn from and, where there is a density, are measured by."""

import abc
from collections.abc import Callable
from typing import Any

from jax.sharding import Mesh

from experiments.evaluation.settings import EvaluationSettings
from experiments.generation import Draw
from experiments.kinds.trainable import Trainable
from experiments.measurement import Density
from experiments.samplers import SamplerSettings
from experiments.snapshots import SAMPLER, Snapshots
from sde_jax.data.source import DataSource, Layout
from sde_jax.sampling import Sampler
from sde_jax.sde import LinearSDE


class Generative(Trainable):
    """A model of how data are distributed."""

    kind = "generative model"

    sampling: SamplerSettings | None
    """How `sample` draws, unless told otherwise; None where there is but one way."""
    likelihood: Any
    """How `likelihood` measures, unless told otherwise; None where nothing can be set."""
    evaluation: EvaluationSettings

    @property
    def process(self) -> LinearSDE | None:
        """What samples come about by, if they do so in the data's own coordinates."""
        return None

    @abc.abstractmethod
    def draws(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """What draws samples; not compiled.

        Args:
          layout: of the data.
          sampler: where ``sampling`` is not None, how.
          source: reads the data, for those who draw from something that is given.
        """

    def density(self, layout: Layout, settings: Any) -> Density | None:
        """What measures by ``settings``, such as ``likelihood``; None if there is no density."""
        return None

    def snapshots(self, source: DataSource, mesh: Mesh) -> Snapshots:
        """Draws pictures of samples."""
        layout = Layout(source.shape, source.scaling)
        sampler = None if self.sampling is None else SAMPLER
        draw = self.draws(layout, sampler, lambda: source)
        return Snapshots(draw, layout.scaling, mesh, batch_size=self.training.batch_size)
