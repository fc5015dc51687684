"""Cross-entropy of a classifier of noisy data."""

from dataclasses import dataclass

import optax

from sde_jax.arrays import Array, Examples, Int, PerExample, PyTree, expand_like
from sde_jax.objectives.denoising import draw_noise
from sde_jax.objectives.time_sampling import StratifiedTimes, TimeSampler
from sde_jax.randomness import Seeds
from sde_jax.score import ClassifierModel


@dataclass(frozen=True, kw_only=True)
class NoisyCrossEntropy:
    """The loss ``-log p(label | x_t, t)`` with ``x_t = alpha x_0 + sigma noise``, in nats.

    Song et al. 2021 (arXiv:2011.13456), appendix I. The time t follows ``times``; there is no
    further weighting. The exact posterior minimizes the mean loss. The minimum is the conditional
    entropy of the label given ``x_t``.
    """

    model: ClassifierModel
    times: TimeSampler = StratifiedTimes()

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x0: Examples,
        label: Int[Array, "batch"],
        *,
        deterministic: bool = False,
    ) -> PerExample:
        """Returns the loss of each example at its own random time and noise.

        See `DenoisingScoreMatching.losses` for the other arguments than ``label``, the classes.
        """
        noisy = draw_noise(self.model, self.times, seeds, x0, deterministic=deterministic)
        t, sde = noisy.times.t, self.model.sde
        x = expand_like(sde.alpha(t), x0) * x0 + expand_like(sde.sigma(t), x0) * noisy.noise
        logits = self.model.log_probabilities(params, x, t, dropout_key=noisy.dropout_key)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        return noisy.times.importance * losses
