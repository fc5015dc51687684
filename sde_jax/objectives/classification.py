"""The cross-entropy of a classifier."""

from collections.abc import Callable
from dataclasses import dataclass

import optax

from sde_jax.arrays import WHOLE, Array, Float, Int, Part, PRNGKeyArray, PyTree

__all__ = ["CrossEntropy"]


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """The loss ``-log softmax(logits)[label]``, in nats."""

    logits: Callable[[PyTree, Array, PRNGKeyArray | None], Array]
    """Of the parameters, the examples, and a key for dropout, which is off without one."""

    def losses(
        self,
        params: PyTree,
        key: PRNGKeyArray,
        x: Float[Array, "batch *shape"],
        label: Int[Array, "batch"],
        *,
        deterministic: bool = False,
        part: Part = WHOLE,
    ) -> Float[Array, "examples"]:
        """Each example's loss.

        Args:
          params: the network's parameters.
          key: fixes dropout.
          x: examples.
          label: their classes.
          deterministic: turns dropout off.
          part: which examples; dropout is the part's own.
        """
        x, label = part.of((x, label))
        dropout_key = None if deterministic else part.key(key)
        logits = self.logits(params, x, dropout_key)
        return optax.softmax_cross_entropy_with_integer_labels(logits, label)
