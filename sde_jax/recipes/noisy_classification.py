"""The recipe of a classifier of noisy data, for classifier guidance."""

from dataclasses import dataclass
from typing import ClassVar

from sde_jax.arrays import Array, Int, PyTree
from sde_jax.objectives import NoisyCrossEntropy
from sde_jax.recipes.classification import Classifying
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
