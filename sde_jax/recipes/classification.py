"""The recipes of classifiers, of data and, for classifier guidance, of noisy data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Int, PerExample, PRNGKeyArray, PyTree
from sde_jax.data.source import Batch, DataSource, DataSpec
from sde_jax.initialization import apply, initialize
from sde_jax.nets import ClassifierSpec
from sde_jax.objectives import CrossEntropy, NoisyCrossEntropy
from sde_jax.randomness import Seeds
from sde_jax.recipes.trainable import Trainable, check_classes
from sde_jax.score import (
    ClassifierModel,
    ClassLogProbability,
    DescendingIndex,
    LogNoiseLevel,
    LogScaledTime,
    NoiseLevel,
    ScaledTime,
)
from sde_jax.sde import LinearSDE
from sde_jax.training.learner import Learner
from sde_jax.training.optimizer import Adam, Decay
from sde_jax.training.settings import Training

NO_LABELS = "`data` must have labels for a classifier: it has none."


@dataclass(frozen=True, kw_only=True)
class Classifying(Trainable):
    """Training of a classifier on a data set with labels."""

    data: DataSpec
    network: ClassifierSpec
    optimizer: Adam
    ema_decay: Decay
    """Decay of the running average of the parameters. The average classifies."""
    training: Training

    def check_data(self, source: DataSource) -> None:
        """Raises ValueError if the data have no labels or more classes than the network."""
        super().check_data(source)
        if source.classes is None:
            raise ValueError(NO_LABELS)
        check_classes(self.network.classes, source)

    def learner_of(
        self,
        init: Callable[[PRNGKeyArray], PyTree],
        objective: CrossEntropy | NoisyCrossEntropy,
    ) -> Learner:
        """Builds the learner of an objective; its losses raise ValueError without labels."""

        def losses(
            params: PyTree, seeds: Seeds, batch: Batch, *, deterministic: bool
        ) -> PerExample:
            if batch.label is None:
                raise ValueError(NO_LABELS)
            return objective.losses(
                params, seeds, batch.x, batch.label, deterministic=deterministic
            )

        return self.minimizing(init, losses)


@dataclass(frozen=True, kw_only=True)
class Classification(Classifying):
    """A classifier of a data set. Metrics use its features and predictions.

    Its inputs are images in [0, 1] without dequantization, as in evaluation.
    """

    kind: ClassVar[str] = "classifier"

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """Builds the learner for images of ``shape``."""
        network, scaling = self.network.build(), self.data.layout().scaling

        def init_params(key: PRNGKeyArray) -> PyTree:
            return initialize(network, key, jax.ShapeDtypeStruct((1, *shape), jnp.float32))

        def logits(params: PyTree, x: Array, dropout_key: PRNGKeyArray | None) -> Array:
            return apply(network, params, scaling.to_unit(x), dropout_key=dropout_key).logits

        return self.learner_of(init_params, CrossEntropy(logits=logits))


@dataclass(frozen=True, kw_only=True)
class NoisyClassification(Classifying):
    """A classifier at every noise level of a process. It guides samplers to a class.

    Its inputs are dequantized and noised images in model coordinates, as those of score models.
    """

    kind: ClassVar[str] = "noise-conditional classifier"
    sde: LinearSDE
    time_condition: ScaledTime | LogScaledTime | NoiseLevel | LogNoiseLevel | DescendingIndex = (
        ScaledTime()
    )

    def model(self) -> ClassifierModel:
        """Builds the model, which reads the network as class probabilities."""
        return ClassifierModel(
            network=self.network.build(), sde=self.sde, time_condition=self.time_condition
        )

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """Builds the learner for images of ``shape``."""
        model = self.model()
        return self.learner_of(lambda key: model.init(key, shape), NoisyCrossEntropy(model=model))

    def log_probability(self, params: PyTree, label: Int[Array, "*batch"]) -> ClassLogProbability:
        """Returns the guide to ``label``, one class for all examples or one for each."""
        return ClassLogProbability(params, label, self.model())
