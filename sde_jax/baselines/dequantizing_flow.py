"""A dequantizer that is learned: a conditional flow of affine couplings (Ho et al. 2019)."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp

from sde_jax.arrays import (
    Array,
    Examples,
    Float,
    Keys,
    PerExample,
    PRNGKeyArray,
    PyTree,
    expand_like,
    sum_except_batch,
)
from sde_jax.baselines.coupling_flow import apply_couplings
from sde_jax.baselines.coupling_layers import AffineCoupling, Subnetwork, checkerboard_mask
from sde_jax.initialization import initialize
from sde_jax.nets.spec import NetworkModule
from sde_jax.randomness import Seeds
from sde_jax.sde import LinearSDE
from sde_jax.validation import Depth, GroupWidth, Spec, at_least, at_most


@dataclass(frozen=True, kw_only=True)
class DequantizingFlowSpec(Spec):
    """Hyperparameters of `ConditionalCouplings`, for images and points of any shape.

    Raises:
      ValueError: if a field is out of range.
    """

    width: GroupWidth = 32
    """Channels of the hidden layers of each coupling."""
    depth: Depth = 1
    """Residual blocks of each coupling, or hidden layers for points; at least 1."""
    couplings: Annotated[int, at_least(2), at_most(64)] = 4
    """Couplings with checkerboard masks of alternating parity; at least 2."""

    def build(self) -> "ConditionalCouplings":
        """Builds the network."""
        return ConditionalCouplings(self)


class ConditionalCouplings(NetworkModule):
    """A map of noise, given examples, with its log-determinant; the identity at initialization."""

    spec: DequantizingFlowSpec

    def setup(self) -> None:
        subnetwork = functools.partial(
            Subnetwork, width=self.spec.width, depth=self.spec.depth, **self.numerics
        )
        numbers = range(self.spec.couplings)
        self.couplings = [AffineCoupling(checkerboard_mask, n % 2, subnetwork) for n in numbers]

    def __call__(self, noise: Examples, x: Examples) -> tuple[Examples, PerExample]:
        """Returns the image of ``noise`` given ``x`` and the log-determinant of each example."""
        return apply_couplings(self.couplings, noise, x)


@dataclass(frozen=True, kw_only=True)
class DequantizingFlow:
    """Noise in the bins of examples, of a learned density q (Ho et al. 2019, arXiv:1902.00275).

    ::

        y = couplings(logit(u); x),   u ~ U(0, 1)^D,   v = 2 sigmoid(y) - 1

    v lies in (-1, 1)^D, in units of half of a bin, and x is the middle of the bin. At
    initialization v is uniform. The model is hashable; parameters are passed separately.
    """

    network: ConditionalCouplings

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters for examples of ``shape`` without running the network."""
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        return initialize(self.network, key, x, x)

    def draw(self, params: PyTree, keys: Keys, x: Examples) -> tuple[Examples, PerExample]:
        """Returns ``v`` and ``log q(v | x)`` for each key and example, in nats."""
        logistic = jax.vmap(lambda key: jax.random.logistic(key, x.shape[1:], x.dtype))(keys)
        return self.transform(params, logistic, x)

    def transform(
        self, params: PyTree, logistic: Examples, x: Examples
    ) -> tuple[Examples, PerExample]:
        """Returns ``v`` and ``log q(v | x)`` for ``logit(u)``, standard logistic noise."""
        y, log_det = self.network.apply({"params": params}, logistic, x)
        log_slopes = _log_slope(logistic) - _log_slope(y) - math.log(2)
        return jnp.tanh(0.5 * y), sum_except_batch(log_slopes) - jnp.asarray(log_det)

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Examples,
        score: Callable[[Examples], Examples],
        half_width: float,
    ) -> PerExample:
        """Returns unbiased estimates of the bound's loss, in nats per dimension.

        ::

            [log q(v | x) + D log 2 - integral over l from 0 to 1 of w v . score(x + l w v)] / D

        The integral is log p(x + w v) - log p(x), estimated at one l. The loss needs no solve of
        the score's flow. It is 0 for uniform noise in bins of even density.

        Args:
          params: the parameters.
          seeds: fix noise and l, which is stratified over the batch.
          x: the middles of bins.
          score: the gradient of log p.
          half_width: w, half of the width of a bin, in model coordinates.
        """
        v, log_q = self.draw(params, seeds.keys, x)
        shift = half_width * v
        gain = sum_except_batch(shift * score(x + expand_like(seeds.quantiles, x) * shift))
        return (log_q - gain) / math.prod(x.shape[1:]) + math.log(2)


@dataclass(frozen=True, kw_only=True, eq=False)
class FlowDequantization:
    """The `Dequantizer` of a trained `DequantizingFlow`: ``z = x + w v``."""

    model: DequantizingFlow
    params: PyTree
    half_width: float
    """Half of the width of a bin, w, in model coordinates."""

    def __call__(
        self, key: PRNGKeyArray, sde: LinearSDE, x: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
        v, log_q = self.model.draw(self.params, key[None], x[None])
        return x + self.half_width * v[0], log_q[0] - x.size * math.log(self.half_width)


def _log_slope(y: Array) -> Array:
    """Returns ``log(sigmoid'(y))``."""
    return jax.nn.log_sigmoid(y) + jax.nn.log_sigmoid(-y)
