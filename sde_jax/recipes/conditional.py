"""The recipe of a score model of images given degraded images, and of a regression on them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float
from sde_jax.baselines.conditional import ConditionalDiffusion
from sde_jax.data.degradation import Degradation, Grey, Half, Smaller
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.data.splits import TEST
from sde_jax.nets import UNetSpec
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.recipes.evaluation_settings import MEASURABLE, EvaluationSettings
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Draw
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.sampling import Sampler
from sde_jax.score import ScoreModel
from sde_jax.sde import LinearSDE
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training
from sde_jax.validation import Only, Spec, at_most

QUESTIONS = 256
"""Number of held-out images that samples are conditioned on, in turn."""


_DETAIL = Only("`lost` is detail", lambda task: task.lost == "detail")


@dataclass(frozen=True, kw_only=True)
class Task(Spec):
    """The degradation of an image. The model samples the image given the result."""

    lost: Literal["half", "detail", "colour"] = "half"
    """half: the lower half is lost; detail: means over squares remain; colour: grey remains."""
    factor: Annotated[int, at_most(2**16), _DETAIL] = 4
    """Side of the squares in pixels (detail only)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.build()

    def build(self) -> Degradation:
        """Builds the degradation."""
        degradations: dict[str, Degradation] = {
            "half": Half(kept="upper"),
            "detail": Smaller(factor=self.factor),
            "colour": Grey(),
        }
        return degradations[self.lost]


@dataclass(frozen=True, kw_only=True)
class Conditional(Generative):
    """A score model of images given their degraded versions, and a regression of the same size.

    It has no density: the known part of an image determines some of its dimensions.
    """

    kind: ClassVar[str] = "conditional score model"
    data: DataSpec
    task: Task = Task()
    sde: LinearSDE
    network: UNetSpec
    optimizer: Adam
    ema_decay: Decay
    """Decay of the running average of the parameters. The average is sampled and measured."""
    training: Training
    sampling: SamplerSettings = SamplerSettings()
    likelihood: None = None
    evaluation: EvaluationSettings = EvaluationSettings(metrics=MEASURABLE)

    @property
    def process(self) -> LinearSDE:
        """The SDE that sampling reverses."""
        return self.sde

    def model(self) -> ConditionalDiffusion:
        """Builds the model, which has both networks."""
        score = ScoreModel(network=self.network.build(), sde=self.sde)
        return ConditionalDiffusion(
            objective=DenoisingScoreMatching(model=score), degradation=self.task.build()
        )

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """Returns the sampler. Sample j is conditioned on degraded test image ``j mod 256``."""
        model, y = self.model(), self.questions(source())
        assert sampler is not None
        return lambda params, keys, index: model.sample(
            params, keys, y[index % len(y)], sampler, layout.shape[-1]
        )

    def questions(self, source: DataSource) -> Float[Array, "count height width channels"]:
        """Returns the first held-out images, degraded."""
        first = next(source.batches(jax.random.key(0), TEST, QUESTIONS, count=QUESTIONS))
        return jnp.asarray(self.task.build()(first.x))
