"""What an experiment is: a value that decides a result, and nothing else."""

from dataclasses import dataclass
from typing import Literal

from experiments.samplers import SamplerSettings
from sde_jax.arrays import WHOLE, Array, Float, Part, PRNGKeyArray, PyTree
from sde_jax.data.source import Batch, DataSpec
from sde_jax.likelihood import Hutchinson, Likelihood
from sde_jax.nets.spec import NetworkSpec
from sde_jax.objectives import (
    DenoisingScoreMatching,
    DiscreteTimes,
    EDMWeighting,
    LikelihoodTimes,
    LikelihoodWeighting,
    LogNormalNoise,
    MinSNRWeighting,
    NoiseWeighting,
    StratifiedTimes,
    UniformTimes,
)
from sde_jax.score import (
    AdaptiveSolver,
    DataPrediction,
    DescendingIndex,
    EDMPrediction,
    LogNoiseLevel,
    LogScaledTime,
    NoiseLevel,
    NoisePrediction,
    ScaledTime,
    ScoreModel,
    ScorePrediction,
    VelocityPrediction,
)
from sde_jax.sde import DDPMChain, LinearSDE
from sde_jax.training.learner import Learner, gradient_learner
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training


@dataclass(frozen=True, kw_only=True)
class LikelihoodSettings:
    """How `likelihood` measures a run, unless told otherwise."""

    t_min: float = 1e-5
    """Time at which the flow starts, in [0, 1)."""
    tolerance: float = 1e-5
    """Relative and absolute tolerance of a solver step."""
    probes: int = 1
    """Hutchinson probes for each image; two or more give its standard error."""

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"`tolerance` must be positive: got tolerance={self.tolerance}.")
        self.build()

    def build(self) -> Likelihood:
        """The likelihood so described."""
        solver = AdaptiveSolver(rtol=self.tolerance, atol=self.tolerance)
        divergence = Hutchinson(probes=self.probes)
        return Likelihood(solver=solver, t_min=self.t_min, divergence=divergence)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A score model of a data set: how it is trained, and how it is sampled and measured."""

    data: DataSpec
    sde: LinearSDE
    network: NetworkSpec
    parameterization: (
        NoisePrediction | DataPrediction | VelocityPrediction | ScorePrediction | EDMPrediction
    ) = NoisePrediction()
    time_condition: ScaledTime | LogScaledTime | NoiseLevel | LogNoiseLevel | DescendingIndex = (
        ScaledTime()
    )
    noise_levels: DDPMChain | None = None
    """The chain whose noise levels the network is trained on; None: those of the SDE."""
    data_deviation: float | None = None
    """Deviation d of the data: show the network x / sqrt(alpha^2 d^2 + sigma^2) instead of x."""
    times: StratifiedTimes | UniformTimes | LikelihoodTimes | DiscreteTimes | LogNormalNoise = (
        StratifiedTimes()
    )
    weighting: NoiseWeighting | LikelihoodWeighting | EDMWeighting | MinSNRWeighting = (
        NoiseWeighting()
    )
    reduction: Literal["mean", "half_sum"] = "mean"
    """Mean of the squared errors of an example, or half of their sum."""
    optimizer: Adam
    ema_decay: float
    """Decay of the running average of the parameters, which is what is sampled and measured."""
    ema_warmup: bool = True
    """Let the decay rise as (1 + n) / (10 + n) with the number n of updates, up to ema_decay."""
    training: Training
    sampling: SamplerSettings = SamplerSettings()
    likelihood: LikelihoodSettings = LikelihoodSettings()

    def model(self) -> ScoreModel:
        """How the network is read as a score."""
        return ScoreModel(
            network=self.network.build(),
            sde=self.sde,
            parameterization=self.parameterization,
            time_condition=self.time_condition,
            noise_levels=self.noise_levels,
            data_deviation=self.data_deviation,
        )

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """What the training loop trains, for examples of ``shape``."""
        model = self.model()
        objective = DenoisingScoreMatching(
            model=model, times=self.times, weighting=self.weighting, reduction=self.reduction
        )

        def init_params(key: PRNGKeyArray) -> PyTree:
            return model.init(key, shape)

        def losses(
            params: PyTree,
            key: PRNGKeyArray,
            batch: Batch,
            *,
            deterministic: bool,
            part: Part = WHOLE,
        ) -> Float[Array, "examples"]:
            return objective.losses(params, key, batch.x, deterministic=deterministic, part=part)

        optimizer = self.optimizer.build(self.training.steps)
        return gradient_learner(
            init_params,
            losses,
            optimizer,
            ema_decay=self.ema_decay,
            ema_warmup=self.ema_warmup,
            accumulate=self.training.accumulate,
        )
