"""The cross-entropy of a classifier of noisy data."""

from dataclasses import dataclass

import optax

from sde_jax.arrays import Array, Float, Int, PyTree, expand_like
from sde_jax.objectives.denoising import draw
from sde_jax.objectives.time_sampling import StratifiedTimes, TimeSampler
from sde_jax.randomness import Seeds
from sde_jax.score import ClassifierModel

__all__ = ["NoisyCrossEntropy"]


@dataclass(frozen=True, kw_only=True)
class NoisyCrossEntropy:
    """The loss ``-log p(label | x_t, t)`` with ``x_t = alpha x_0 + sigma noise``, in nats.

    Song et al. 2021 (arXiv:2011.13456), appendix I, with t uniform on [t_min, 1], importance
    sampled, or drawn as part of the loss, and no weighting besides. Its least mean over data, times
    and noise is the conditional entropy of the label given ``x_t``, at the exact posterior.
    """

    model: ClassifierModel
    times: TimeSampler = StratifiedTimes()

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x0: Float[Array, "batch *shape"],
        label: Int[Array, "batch"],
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns the loss of each example at a time and noise of its own.

        Args:
          params: the network's parameters.
          seeds: fix times, noise and dropout.
          x0: examples, in model coordinates.
          label: their classes.
          deterministic: turns dropout off.
        """
        drawn = draw(self.model, self.times, seeds, x0, deterministic=deterministic)
        t, sde = drawn.times.t, self.model.sde
        x = expand_like(sde.alpha(t), x0) * x0 + expand_like(sde.sigma(t), x0) * drawn.noise
        logits = self.model.log_probabilities(params, x, t, dropout_key=drawn.dropout_key)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        return drawn.times.importance * losses
