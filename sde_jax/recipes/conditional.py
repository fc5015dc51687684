"""A score model of images given other images as an experiment, beside a regression on them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Int, Key, PyTree
from sde_jax.baselines.conditional import ConditionalDiffusion
from sde_jax.data.degradation import Degradation, Grey, Half, Smaller
from sde_jax.data.source import TEST, DataSource, DataSpec, Layout
from sde_jax.nets import UNetSpec
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.recipes.evaluation_settings import MEASURABLE, EvaluationSettings
from sde_jax.recipes.generative import Generative, learner_of
from sde_jax.recipes.interfaces import Draw
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.sampling import Sampler, Samples
from sde_jax.score import ScoreModel
from sde_jax.sde import LinearSDE
from sde_jax.training.learner import Learner
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

QUESTIONS = 256
"""Held-out images that samples are asked for, one after the other and then again."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is left of an image, from which the image is to be told."""

    lost: Literal["half", "detail", "colour"] = "half"
    """The lower half, all but means over squares, or all but grey."""
    factor: int = 4
    """Side of the squares in pixels; detail only."""

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> Degradation:
        """The map so described."""
        degradations: dict[str, Degradation] = {
            "half": Half(kept="upper"),
            "detail": Smaller(factor=self.factor),
            "colour": Grey(),
        }
        if self.lost not in degradations:
            raise ValueError(f"`lost` must be one of {', '.join(degradations)}: got {self.lost}.")
        return degradations[self.lost]


@dataclass(frozen=True, kw_only=True)
class Conditional(Generative):
    """A score model of images given what is left of them, and a regression of the same size.

    It has no density that could be measured: given a part of itself, an image has none there.
    """

    kind: ClassVar[str] = "conditional score model"
    data: DataSpec
    task: Task = Task()
    sde: LinearSDE
    network: UNetSpec
    optimizer: Adam
    ema_decay: float
    """Decay of the running average of the parameters, which is what is sampled and measured."""
    training: Training
    sampling: SamplerSettings = SamplerSettings()
    likelihood: None = None
    evaluation: EvaluationSettings = EvaluationSettings(metrics=MEASURABLE)

    @property
    def process(self) -> LinearSDE:
        """The reversed one."""
        return self.sde

    def model(self) -> ConditionalDiffusion:
        """Both networks, and how they are read."""
        score = ScoreModel(network=self.network.build(), sde=self.sde)
        return ConditionalDiffusion(
            objective=DenoisingScoreMatching(model=score), given=self.task.build()
        )

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """What the training loop trains, for images of ``shape``: both networks."""
        return learner_of(self.model(), shape, self.optimizer, self.ema_decay, self.training)

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """Sample j answers what is left of held-out image ``j mod 256``."""
        model, y = self.model(), self.questions(source())
        assert sampler is not None

        def draw(params: PyTree, keys: Key[Array, "batch"], index: Int[Array, "batch"]) -> Samples:
            return model.sample(params, keys, y[index % len(y)], sampler, layout.shape[-1])

        return draw

    def questions(self, source: DataSource) -> Float[Array, "count height width channels"]:
        """What is left of the first held-out images."""
        first = next(source.batches(jax.random.key(0), TEST, QUESTIONS, count=QUESTIONS))
        return jnp.asarray(self.task.build()(first.x))
