"""Recipes of generative models: they have samples and, in most cases, a density."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

from sde_jax.data.source import DataSource, Layout
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.interfaces import Density, Draw
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.trainable import Trainable
from sde_jax.sampling import Sampler
from sde_jax.sde import LinearSDE
from sde_jax.training.learner import Learner


class Generative(Trainable):
    """A model of the distribution of data."""

    kind = "generative model"
    bits: ClassVar[str] = "bits_per_dim"
    """Name of its bits per dimension in an evaluation. Only values of one name are comparable."""

    sampling: SamplerSettings | None
    """Defaults of `sample`; None for models with a sampler of their own."""
    likelihood: Any
    """Defaults of `likelihood`; None where nothing can be set."""
    evaluation: EvaluationSettings

    @property
    def process(self) -> LinearSDE | None:
        """The process that sampling reverses in the data's own coordinates, if there is one."""
        return None

    def check_sampler(self, settings: SamplerSettings) -> None:
        """Raises ValueError if the model cannot be sampled by these settings."""
        if settings.sampler == "consistency":
            raise ValueError(
                f"`sampler` must not be consistency for a {self.kind}: it is that of students. "
                "Train one: `sde-jax train digits_student --teacher RUN`."
            )

    @abc.abstractmethod
    def model(self) -> Any:
        """Builds the model.

        The usual learner calls its ``init(key, shape)`` and ``losses(params, seeds, x,
        deterministic=...)``, the usual sampler its ``sample(params, keys, shape)``.
        """

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """Builds the learner for examples of ``shape``, by default that of a model with losses.

        Raises:
          ValueError: if the shape does not fit.
        """
        model = self.model()
        return self.minimizing(
            lambda key: model.init(key, shape),
            lambda params, seeds, batch, **mode: model.losses(params, seeds, batch.x, **mode),
        )

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """Returns the function that draws samples, by default that of the model; not compiled.

        Args:
          layout: shape and scaling of the data.
          sampler: the sampler; None where ``sampling`` is None.
          source: reads the data, for models whose samples are conditioned on examples.
        """
        model = self.model()
        return lambda params, keys, index: model.sample(params, keys, layout.shape)

    def bits_by(self, layout: Layout, settings: Any) -> str:
        """Returns the name of bits per dimension that are measured by ``settings``."""
        return self.bits

    def density(self, layout: Layout, settings: Any) -> Density | None:
        """Returns the function that measures densities, not compiled; None if there is none.

        Args:
          layout: shape and scaling of the data.
          settings: the settings, such as ``likelihood``.
        """
        return None
