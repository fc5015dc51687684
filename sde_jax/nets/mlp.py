"""A residual MLP for vectors."""

import functools
from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PerExample
from sde_jax.nets.condition import Condition, VectorStandardization
from sde_jax.nets.embedding import conditioned, positional_embedding
from sde_jax.nets.spec import NetworkModule, NetworkSpec
from sde_jax.validation import BelowOne, Classes, Depth, Width


@dataclass(frozen=True, kw_only=True)
class MLPSpec(NetworkSpec):
    """Hyperparameters of an ``MLP``."""

    width: Width = 128
    """Width of every hidden layer and of the time embedding."""
    depth: Depth = 3
    """Number of residual layers."""
    normalize: bool = False
    """Normalize the input of each layer and of the output (pre-norm; Gorishniy et al. 2021,
    arXiv:2106.11959), which keeps deep networks and vectors of many dimensions trainable."""
    dropout: BelowOne = 0.0
    """Dropout rate inside residual layers, in training."""
    classes: Classes = None
    """Number of classes of a class-conditional network; None for an unconditional one."""
    vector: VectorStandardization | None = None
    """The conditioning vector; None for a network that takes none."""

    def build(self) -> "MLP":
        """Builds the network."""
        return MLP(self)


class MLP(NetworkModule):
    """A residual multilayer perceptron with a time embedding in every layer.

    Called as ``(x, time, condition=None, *, deterministic=True)`` with ``x`` of shape
    ``[batch, dimensions]`` and ``time`` of shape ``[batch]``, best in about ``[0, 1000]``. Returns
    float32 like ``x``, zero at initialization. Each layer is
    ``h + dense(dropout(swish(dense(norm(h)) + dense(embedding))))``, and the output
    ``dense(swish(norm(h)))``; norm is a layer normalization, or nothing without `normalize`.
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
        embedding = nn.swish(conditioned(self.spec, embedding, condition, **self.numerics))
        h = dense(width)(x)
        for _ in range(self.spec.depth):
            hidden = nn.swish(dense(width)(self._norm(h)) + dense(width)(embedding))
            hidden = nn.Dropout(self.spec.dropout, deterministic=deterministic)(hidden)
            h = h + dense(width)(hidden)
        output = dense(x.shape[-1], kernel_init=nn.initializers.zeros)
        return output(nn.swish(self._norm(h))).astype(jnp.float32)

    @nn.nowrap
    def _norm(self, h: Float[Array, "batch width"]) -> Float[Array, "batch width"]:
        return nn.LayerNorm(dtype=self.dtype)(h) if self.spec.normalize else h
