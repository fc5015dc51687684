"""The recipe of a score model: its training, sampling and likelihood."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import jax
import jax.numpy as jnp

from sde_jax.arrays import Keys, PerExample, PyTree
from sde_jax.data import ArrayData
from sde_jax.data.source import Batch, DataSource, DataSpec, Layout
from sde_jax.nets import Condition, MLPSpec, NetworkSpec, VectorStandardization
from sde_jax.objectives import (
    DiscreteTimes,
    EDMWeighting,
    FlowWeighting,
    LikelihoodTimes,
    LikelihoodWeighting,
    LogitNormalTimes,
    LogNormalNoise,
    MinSNRWeighting,
    NoiseWeighting,
    StratifiedTimes,
    UniformTimes,
)
from sde_jax.randomness import Seeds
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.given import score_sampler
from sde_jax.recipes.interfaces import Density, Draw
from sde_jax.recipes.likelihood_settings import LikelihoodSettings
from sde_jax.recipes.matching import Denoising, Implicit, Sliced
from sde_jax.recipes.protocols import Measurement
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.trainable import check_classes
from sde_jax.sampling import Sampler
from sde_jax.score import (
    DataPrediction,
    DescendingIndex,
    EDMPrediction,
    FlowPrediction,
    LogNoiseLevel,
    LogScaledTime,
    NetworkScore,
    NoiseLevel,
    NoisePrediction,
    ScaledTime,
    ScoreModel,
    ScorePrediction,
    VelocityPrediction,
    computing_in,
)
from sde_jax.sde import DDPMChain, LinearSDE
from sde_jax.training.learner import Learner
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training
from sde_jax.validation import (
    FINITE,
    ComputeDtype,
    Only,
    UnitInterval,
)

_CONDITIONAL = Only(
    "`network.classes` or `network.vector` is set, or the data have conditions",
    lambda spec: spec.is_conditional or spec.data.has_conditions,
)


@dataclass(frozen=True, kw_only=True)
class ScoreExperiment(Generative):
    """A score model of a data set: its training, sampling, likelihood and evaluation."""

    kind: ClassVar[str] = "score model"
    data: DataSpec
    sde: LinearSDE
    network: NetworkSpec
    parameterization: (
        NoisePrediction
        | DataPrediction
        | VelocityPrediction
        | FlowPrediction
        | ScorePrediction
        | EDMPrediction
    ) = NoisePrediction()
    time_condition: ScaledTime | LogScaledTime | NoiseLevel | LogNoiseLevel | DescendingIndex = (
        ScaledTime()
    )
    noise_levels: DDPMChain | None = None
    """Chain with the noise levels of training; None for the levels of the SDE."""
    data_deviation: Annotated[float | None, FINITE] = None
    """Standard deviation d of the data. The network's input is then x / sqrt(alpha^2 d^2 +
    sigma^2); None for x."""
    times: (
        StratifiedTimes
        | UniformTimes
        | LikelihoodTimes
        | DiscreteTimes
        | LogitNormalTimes
        | LogNormalNoise
    ) = StratifiedTimes()
    weighting: (
        NoiseWeighting | LikelihoodWeighting | EDMWeighting | FlowWeighting | MinSNRWeighting
    ) = NoiseWeighting()
    matching: Denoising | Sliced | Implicit = Denoising()
    """The score matching objective."""
    label_dropout: Annotated[UnitInterval, _CONDITIONAL] = 0.1
    """Share of training examples without their label and vector, for a network with `classes` or
    `vector`. Guidance uses the network without them, and so do `sample` and `likelihood` of a
    network with labels alone that are given none."""
    compute_dtype: ComputeDtype = "float32"
    """Type of the network's computation in training. Parameters and losses are float32, and so are
    likelihoods; the type in sampling is that of `sampling`."""
    optimizer: Adam
    ema_decay: Decay
    """Decay of the running average of the parameters. The average is sampled and measured."""
    ema_warmup: bool = True
    """True to let the decay rise as (1 + n) / (10 + n) in n updates, up to ema_decay."""
    training: Training
    sampling: SamplerSettings = SamplerSettings()
    likelihood: LikelihoodSettings = LikelihoodSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    def with_data(self, data: DataSpec) -> Self:
        """Returns the experiment of measured data. Its network takes their conditions."""
        network: Any = self.network
        measured = data.measured if isinstance(data, ArrayData) else None
        if measured is not None and measured.vector is not None and network.vector is None:
            vector = VectorStandardization(
                mean=measured.vector.centers, deviation=measured.vector.widths
            )
            network = dataclasses.replace(network, vector=vector)
        if measured is not None and measured.classes is not None and network.classes is None:
            network = dataclasses.replace(network, classes=measured.classes)
        return dataclasses.replace(self, data=data, network=network)

    def check_data(self, source: DataSource) -> None:
        """Raises ValueError if the network takes other shapes, or labels or vectors that the data
        lack."""
        super().check_data(source)
        if isinstance(self.network, MLPSpec) and len(source.shape) != 1:
            raise ValueError(
                f"the examples must be vectors for an MLP: their shape is {list(source.shape)}. "
                "`array.reshape(len(array), -1)` makes vectors of an array."
            )
        vector = self.network.vector
        if vector is not None and vector.size != source.condition_size:
            raise ValueError(
                f"`vector` has {vector.size} entries, and the conditioning vectors of the data "
                f"have {source.condition_size or 'none'}."
            )
        classes = self.network.classes
        if classes is not None and source.classes is None:
            raise ValueError(
                f"`classes` must be None, since the data have no labels: got {classes}."
            )
        if classes is not None:
            check_classes(classes, source)

    @property
    def process(self) -> LinearSDE:
        """The SDE that sampling reverses."""
        return self.sde

    def model(self) -> ScoreModel:
        """Builds the model, which reads the network as a score."""
        return ScoreModel(
            network=self.network.build(),
            sde=self.sde,
            parameterization=self.parameterization,
            time_condition=self.time_condition,
            noise_levels=self.noise_levels,
            data_deviation=self.data_deviation,
        )

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """Builds the learner for examples of ``shape``."""
        model = self.model()
        model = dataclasses.replace(model, network=computing_in(model.network, self.compute_dtype))
        objective = self.matching.build(model, self.times, self.weighting)

        def losses(
            params: PyTree, seeds: Seeds, batch: Batch, *, deterministic: bool
        ) -> PerExample:
            condition = None
            if self.is_conditional:
                seeds, seeds_dropped = seeds.split()
                dropout = 0.0 if deterministic else self.label_dropout
                condition = self.condition_of(batch, seeds_dropped.keys, dropout)
            return objective.losses(params, seeds, batch.x, condition, deterministic=deterministic)

        return self.minimizing(
            lambda key: model.init(key, shape), losses, ema_warmup=self.ema_warmup
        )

    @property
    def is_conditional(self) -> bool:
        """Says whether the network takes labels or vectors."""
        return self.network.classes is not None or self.network.vector is not None

    @property
    def needs_condition(self) -> bool:
        """Says whether there are no samples and densities without a condition. A network of labels
        has some if it was trained with `label_dropout`."""
        always = self.is_conditional and self.label_dropout == 0
        return self.network.vector is not None or always

    def own_condition(self, batch: Batch) -> Condition:
        """Returns the labels and vectors of a batch that the network takes."""
        return Condition(
            label=None if self.network.classes is None else batch.label,
            vector=None if self.network.vector is None else batch.condition,
        )

    def condition_of(self, batch: Batch, keys: Keys, dropout: float) -> Condition:
        """Returns labels and vectors of a batch, without a random share ``dropout`` of them."""
        dropped = jax.vmap(lambda key: jax.random.bernoulli(key, dropout))(keys)
        own = self.own_condition(batch)
        if own.label is not None:
            own = own._replace(label=jnp.where(dropped, -1, own.label))
        if own.vector is not None:
            own = own._replace(vector=jnp.where(dropped[:, None], jnp.nan, own.vector))
        return own

    def sample_fn(
        self, layout: Layout, sampler: Sampler | None, source: Callable[[], DataSource]
    ) -> Draw:
        """Returns the sampler of the reversed SDE or its flow, conditional on a `Given`."""
        return score_sampler(self.score, self.sde, sampler, layout.shape)

    def density(self, layout: Layout, settings: LikelihoodSettings) -> Density:
        """Returns the density by the protocol of the settings."""
        return self.measurement(layout, settings).density(self.score)

    def measurement(self, layout: Layout, settings: LikelihoodSettings) -> Measurement:
        """Returns the protocol of the settings for data of this layout; variational without its
        dequantizer.

        Raises:
          ValueError: if it does not suit the model or the data.
        """
        return Measurement(
            settings=settings,
            sde=self.sde,
            scaling=layout.scaling,
            dequantized=getattr(self.data, "dequantize", True),
            noise_levels=self.noise_levels,
        )

    def bits_by(self, layout: Layout, settings: LikelihoodSettings) -> str:
        """Returns the name of bits per dimension, which tells bounds from densities."""
        density = self.measurement(layout, settings).measures.startswith("density")
        return self.bits if density else f"{self.bits}_bound"

    def score(self, params: PyTree, condition: Condition | None = None) -> NetworkScore:
        """Returns the score with these parameters, given a condition of each example or none."""
        return NetworkScore(params, self.model(), condition)
