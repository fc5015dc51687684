"""Cross-entropy of a classifier."""

from collections.abc import Callable
from dataclasses import dataclass

import optax

from sde_jax.arrays import Array, Examples, Int, PerExample, PRNGKeyArray, PyTree
from sde_jax.randomness import Seeds


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """The loss ``-log softmax(logits)[label]``, in nats."""

    logits: Callable[[PyTree, Array, PRNGKeyArray | None], Array]
    """Called as ``logits(params, x, dropout_key)``; without a key, dropout is off."""

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Examples,
        label: Int[Array, "batch"],
        *,
        deterministic: bool = False,
    ) -> PerExample:
        """Returns the loss of each example.

        Args:
          params: the network's parameters.
          seeds: determine dropout.
          x: the examples.
          label: their classes.
          deterministic: turns dropout off.
        """
        logits = self.logits(params, x, seeds.dropout_key(deterministic=deterministic))
        return optax.softmax_cross_entropy_with_integer_labels(logits, label)
