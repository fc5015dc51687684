"""Recipes of generative models: they have samples and, in most cases, a density."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from sde_jax.arrays import Array, Float, Int, Key, PRNGKeyArray, PyTree
from sde_jax.data.source import Batch, DataSource, Layout
from sde_jax.randomness import Seeds
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.interfaces import Density, Draw
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.trainable import Trainable
from sde_jax.sampling import Sampler, Samples
from sde_jax.sde import LinearSDE
from sde_jax.training.learner import Learner, gradient_learner
from sde_jax.training.optimizer import Adam


class HasLosses(Protocol):
    """A model that is trained by the gradient of its losses; see `sde_jax.training.Losses`."""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters for examples of ``shape``."""

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Float[Array, "batch *shape"],
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns the loss of each example."""


class HasSample(Protocol):
    """A model with a sampler of its own."""

    def sample(self, params: PyTree, keys: Key[Array, "batch"], shape: tuple[int, ...]) -> Samples:
        """Draws a sample of ``shape`` for each key."""


class Generative(Trainable):
    """A model of the distribution of data."""

    kind = "generative model"
    bits: ClassVar[str] = "bits_per_dim"
    """Name of its bits per dimension in an evaluation. Only values of one name are comparable."""

    optimizer: Adam
    ema_decay: float
    sampling: SamplerSettings | None
    """Defaults of `sample`; None for models with a sampler of their own."""
    likelihood: Any
    """Defaults of `likelihood`; None where nothing can be set."""
    evaluation: EvaluationSettings

    @property
    def process(self) -> LinearSDE | None:
        """The process that sampling reverses in the data's own coordinates, if there is one."""
        return None

    @abc.abstractmethod
    def model(self) -> Any:
        """Builds the model."""

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """Builds the learner for examples of ``shape``, by default that of a model with losses.

        Raises:
          ValueError: if the shape does not fit.
        """
        model: HasLosses = self.model()

        def losses(
            params: PyTree, seeds: Seeds, batch: Batch, *, deterministic: bool
        ) -> Float[Array, "batch"]:
            return model.losses(params, seeds, batch.x, deterministic=deterministic)

        return gradient_learner(
            lambda key: model.init(key, shape),
            losses,
            self.optimizer.build(self.training.steps),
            ema_decay=self.ema_decay,
            accumulate=self.training.accumulate,
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
        model: HasSample = self.model()

        def draw(params: PyTree, keys: Key[Array, "batch"], index: Int[Array, "batch"]) -> Samples:
            return model.sample(params, keys, layout.shape)

        return draw

    def density(self, layout: Layout, settings: Any) -> Density | None:
        """Returns the function that measures densities, not compiled; None if there is none.

        Args:
          layout: shape and scaling of the data.
          settings: the settings, such as ``likelihood``.
        """
        return None
