"""The cross-entropy of a classifier."""

from collections.abc import Callable
from dataclasses import dataclass

import optax

from sde_jax.arrays import Array, Float, Int, PRNGKeyArray, PyTree
from sde_jax.randomness import Seeds

__all__ = ["CrossEntropy"]


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """The loss ``-log softmax(logits)[label]``, in nats."""

    logits: Callable[[PyTree, Array, PRNGKeyArray | None], Array]
    """Of the parameters, the examples, and a key for dropout, which is off without one."""

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Float[Array, "batch *shape"],
        label: Int[Array, "batch"],
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns the loss of each example.

        Args:
          params: the network's parameters.
          seeds: fix dropout.
          x: examples.
          label: their classes.
          deterministic: turns dropout off.
        """
        logits = self.logits(params, x, seeds.dropout_key(deterministic=deterministic))
        return optax.softmax_cross_entropy_with_integer_labels(logits, label)
