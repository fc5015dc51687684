"""The cross-entropy of a classifier of noisy data."""

from dataclasses import dataclass

from sde_jax.arrays import WHOLE, Array, Float, Int, Part, PRNGKeyArray, PyTree, expand_like
from sde_jax.objectives.classification import CrossEntropy
from sde_jax.objectives.denoising import draw
from sde_jax.objectives.time_sampling import StratifiedTimes, TimeSampler
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
        key: PRNGKeyArray,
        x0: Float[Array, "batch *shape"],
        label: Int[Array, "batch"],
        *,
        deterministic: bool = False,
        part: Part = WHOLE,
    ) -> Float[Array, "examples"]:
        """Each example's loss at a time and noise of its own.

        Args:
          params: the network's parameters.
          key: fixes times, noise and dropout.
          x0: examples, in model coordinates.
          label: their classes.
          deterministic: turns dropout off.
          part: which examples; times and noise are theirs in the whole, dropout is the part's own.
        """
        drawn = draw(self.model, self.times, key, x0, part)
        x0, label = part.of((x0, label))
        t, sde = drawn.times.t, self.model.sde
        x = expand_like(sde.alpha(t), x0) * x0 + expand_like(sde.sigma(t), x0) * drawn.noise

        def logits(params: PyTree, x: Array, dropout_key: PRNGKeyArray | None) -> Array:
            return self.model.log_probabilities(params, x, t, dropout_key=dropout_key)

        losses = CrossEntropy(logits=logits).losses(
            params, drawn.dropout_key, x, label, deterministic=deterministic
        )
        return drawn.times.importance * losses
