"""A classifier of noisy data as an experiment: how it is trained, and what guidance takes of it."""

from dataclasses import dataclass
from typing import ClassVar

from sde_jax.arrays import Array, Int, PRNGKeyArray, PyTree
from sde_jax.objectives import NoisyCrossEntropy
from sde_jax.recipes.classification import Classifying, learner_of_labels
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
    """A classifier of a data set at every noise level of a process, which guides samplers.

    It is shown images in model coordinates, dequantized and noised as score models are.
    """

    kind: ClassVar[str] = "noise-conditional classifier"
    sde: LinearSDE
    time_condition: ScaledTime | LogScaledTime | NoiseLevel | LogNoiseLevel | DescendingIndex = (
        ScaledTime()
    )

    def model(self) -> ClassifierModel:
        """How the network is read as probabilities of classes."""
        return ClassifierModel(
            network=self.network.build(), sde=self.sde, time_condition=self.time_condition
        )

    def learner(self, shape: tuple[int, ...]) -> Learner:
        """What the training loop trains, for images of ``shape``."""
        model = self.model()

        def init_params(key: PRNGKeyArray) -> PyTree:
            return model.init(key, shape)

        return learner_of_labels(self, init_params, NoisyCrossEntropy(model=model))

    def log_probability(self, params: PyTree, label: Int[Array, "*batch"]) -> ClassLogProbability:
        """What guides to ``label``, one class or one for each example, of a run's parameters."""
        return ClassLogProbability(params, label, self.model())
