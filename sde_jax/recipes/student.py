"""The recipe of students, which need one evaluation or a few for a sample."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PerExample, PRNGKeyArray, PyTree
from sde_jax.data.source import Batch, DataSource, DataSpec, Layout
from sde_jax.nets import NetworkSpec
from sde_jax.objectives import Consistency, LogNormalNoise
from sde_jax.randomness import Seeds
from sde_jax.recipes.evaluation_settings import MEASURABLE, EvaluationSettings
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.given import score_sampler
from sde_jax.recipes.interfaces import Draw
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.sampling import Sampler
from sde_jax.score import (
    LogNoiseLevel,
    NetworkScore,
    Score,
    ScoreModel,
    VelocityPrediction,
)
from sde_jax.sde import LinearSDE
from sde_jax.training.learner import Learner, Metrics, TrainState
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training
from sde_jax.validation import Positive, at_least, require

JUMPS = SamplerSettings(sampler="consistency", steps=2)
"""The usual sampler of a student."""


@dataclass(frozen=True, kw_only=True)
class Student(Generative):
    """A network that jumps from noise to data, by consistency in continuous time.

    With a teacher it learns the map of the teacher's probability flow and starts from its weights;
    without one it learns from the data alone. It is no score: it has neither likelihood nor edits.
    """

    kind: ClassVar[str] = "student"
    learns_from: ClassVar[str | None] = "teacher"
    data: DataSpec
    teacher: str | None = None
    """Run of the score model to learn from: a path, or the name of a run in the same folder. None
    to learn from the data alone."""
    sde: LinearSDE
    """The process. It may differ from the teacher's."""
    network: NetworkSpec
    """The network, with parameters of the teacher's shapes. It predicts the velocity v."""
    time_condition: LogNoiseLevel = LogNoiseLevel(scale=2.0)
    """The network's time input. Unlike 999 t it varies slowly, as the derivative by time needs."""
    data_deviation: Positive = 0.5
    """Standard deviation d of the data. Training is at angles arctan(r / d), r = sigma / alpha."""
    times: LogNormalNoise = LogNormalNoise(mean=0.0, deviation=2.0)
    """Distribution of r in training."""
    consistency_warmup: Annotated[int, at_least(0)] = 1000
    """Steps over which the loss turns from a regression on velocities into consistency."""
    optimizer: Adam
    ema_decay: Decay
    """Decay of the running average of the parameters. The average is sampled."""
    training: Training
    sampling: SamplerSettings = JUMPS
    likelihood: None = None
    evaluation: EvaluationSettings = EvaluationSettings(sampling=JUMPS, metrics=MEASURABLE)

    def __post_init__(self) -> None:
        super().__post_init__()
        is_own = self.sampling.sampler == "consistency"
        require(self, "sampling", is_own, "have the sampler consistency")

    @property
    def process(self) -> LinearSDE:
        """The process of the states that jumps start from."""
        return self.sde

    @property
    def alternative(self) -> str:
        """The run to use for likelihoods and edits."""
        return f" Use its teacher's run: {self.teacher}." if self.teacher else " Use a score model."

    def check_sampler(self, settings: SamplerSettings) -> None:
        """Raises ValueError unless it is the sampler of students."""
        if settings.sampler != "consistency":
            raise ValueError(
                f"`sampler` must be consistency for a student: got {settings.sampler}."
                f"{self.alternative}"
            )

    def model(self) -> ScoreModel:
        """Builds the model, whose posterior mean is the jump to the data."""
        return ScoreModel(
            network=self.network.build(),
            sde=self.sde,
            parameterization=VelocityPrediction(),
            time_condition=self.time_condition,
            data_deviation=self.data_deviation,
        )

    def learner(self, shape: tuple[int, ...], teacher: NetworkScore | None = None) -> Learner:
        """Builds the learner for examples of ``shape``.

        Without ``teacher``, that of a student with one cannot update: it has the shapes of a state.
        """
        lessons = _Lessons(student=self, shape=shape, teacher=teacher)
        return Learner(lessons.init, lessons.update, lessons.evaluate)

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """Returns the sampler of jumps."""
        model = self.model()
        return score_sampler(
            lambda params: NetworkScore(params, model), self.sde, sampler, layout.shape
        )


@dataclass(frozen=True, kw_only=True)
class _Lessons:
    """The functions of a student's learner.

    The optimizer's state holds the teacher's parameters, too: they are saved and distributed as the
    student's, and a run continues with the ones that it began with.
    """

    student: Student
    shape: tuple[int, ...]
    teacher: NetworkScore | None

    def init(self, key: PRNGKeyArray) -> TrainState:
        state = self._minimizing(None, 1.0).init(key)
        held = {} if self.student.teacher is None else {"teacher": self._init_params(key)}
        return state._replace(opt_state={"student": state.opt_state, **held})

    def update(
        self, state: TrainState, key: PRNGKeyArray, batch: Batch
    ) -> tuple[TrainState, Metrics]:
        learner, own = self._at(state)
        own, metrics = learner.update(own, key, batch)
        return own._replace(opt_state={**state.opt_state, "student": own.opt_state}), metrics

    def evaluate(self, state: TrainState, key: PRNGKeyArray, batch: Batch) -> PerExample:
        learner, own = self._at(state)
        return learner.evaluate(own, key, batch)

    def _init_params(self, key: PRNGKeyArray) -> PyTree:
        if self.teacher is None:
            return self.student.model().init(key, self.shape)
        return jax.tree.map(jnp.array, self.teacher.params)

    def _at(self, state: TrainState) -> tuple[Learner, TrainState]:
        """Returns the learner at the step of a state, and its own state."""
        score: Score | None = None
        if self.student.teacher is not None:
            assert self.teacher is not None, "a student with a teacher needs its score"
            score = dataclasses.replace(self.teacher, params=state.opt_state["teacher"])
        share = jnp.clip(state.step / max(self.student.consistency_warmup, 1), 0, 1)
        return self._minimizing(score, share), state._replace(opt_state=state.opt_state["student"])

    def _minimizing(self, score: Score | None, share: Float[Array, ""] | float) -> Learner:
        """Returns the learner by the flow of a score, and a share of consistency in the loss."""
        objective = Consistency(
            model=self.student.model(),
            deviation=self.student.data_deviation,
            times=self.student.times,
        )

        def losses(
            params: PyTree, seeds: Seeds, batch: Batch, *, deterministic: bool
        ) -> PerExample:
            whole = 1.0 if deterministic else share
            return objective.losses(params, seeds, batch.x, score, whole)

        return self.student.minimizing(self._init_params, losses)
