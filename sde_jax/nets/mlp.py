"""A residual MLP for points."""

import functools
from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PerExample
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import LabelEmbedding, positional_embedding
from sde_jax.nets.spec import NetworkModule, NetworkSpec
from sde_jax.validation import Classes, Depth, Width


@dataclass(frozen=True, kw_only=True)
class MLPSpec(NetworkSpec):
    """Hyperparameters of an ``MLP``."""

    width: Width = 128
    """Width of every hidden layer and of the time embedding."""
    depth: Depth = 3
    """Number of residual layers."""
    classes: Classes = None
    """Number of classes of a class-conditional network; None for an unconditional one."""

    def build(self) -> "MLP":
        """Builds the network."""
        return MLP(self)


class MLP(NetworkModule):
    """A residual multilayer perceptron with a time embedding in every layer.

    Called as ``(x, time, condition=None, *, deterministic=True)`` with ``x`` of shape
    ``[batch, dimensions]`` and ``time`` of shape ``[batch]``, best in about ``[0, 1000]``. Returns
    float32 like ``x``, zero at initialization. Each layer is
    ``h + dense(swish(dense(h) + dense(embedding)))``.
    """

    spec: MLPSpec

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch dimensions"],
        time: PerExample,
        condition: Condition | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "batch dimensions"]:
        condition = Condition() if condition is None else condition
        if condition.image is not None:
            raise ValueError("an MLP of points takes no conditioning image")

        dense = functools.partial(nn.Dense, **self.numerics)
        width = self.spec.width
        embedding = dense(width)(positional_embedding(time, width))
        embedding = nn.swish(LabelEmbedding(self.spec.classes)(embedding, condition.label))
        h = dense(width)(x)
        for _ in range(self.spec.depth):
            hidden = dense(width)(h) + dense(width)(embedding)
            h = h + dense(width)(nn.swish(hidden))
        output = dense(x.shape[-1], kernel_init=nn.initializers.zeros)
        return output(nn.swish(h)).astype(jnp.float32)
