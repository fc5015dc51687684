"""Experiments whose runs samples are drawn from and, where there is a density, are measured by."""

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
from sde_jax.training.settings import Training


class Generative(Trainable):
    """A model of how data are distributed."""

    kind = "generative model"
    bits: ClassVar[str] = "bits_per_dim"
    """What an evaluation calls its bits per dimension, which are no others' of another name."""

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
    def sample_fn(
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


class HasSample(Protocol):
    """A model that is drawn from in but one way."""

    def sample(self, params: PyTree, keys: Key[Array, "batch"], shape: tuple[int, ...]) -> Samples:
        """One sample of ``shape`` for each key."""


def direct_sampler(model: HasSample, shape: tuple[int, ...]) -> Draw:
    """What draws from it."""

    def draw(params: PyTree, keys: Key[Array, "batch"], index: Int[Array, "batch"]) -> Samples:
        return model.sample(params, keys, shape)

    return draw


class HasLosses(Protocol):
    """A model that is trained by the gradient of losses; see `sde_jax.training.learner.Losses`."""

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters, for examples of ``shape``."""

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Float[Array, "batch *shape"],
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns the loss of each example."""


def learner_of(
    model: HasLosses, shape: tuple[int, ...], optimizer: Adam, ema_decay: float, training: Training
) -> Learner:
    """Builds the learner of a model of examples of ``shape``."""

    def losses(
        params: PyTree, seeds: Seeds, batch: Batch, *, deterministic: bool
    ) -> Float[Array, "batch"]:
        return model.losses(params, seeds, batch.x, deterministic=deterministic)

    return gradient_learner(
        lambda key: model.init(key, shape),
        losses,
        optimizer.build(training.steps),
        ema_decay=ema_decay,
        accumulate=training.accumulate,
    )
