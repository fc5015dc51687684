"""Pixel masks and linear combinations of channels."""

from dataclasses import dataclass

import jax.numpy as jnp

from sde_jax.arrays import Array, Bool, Examples, Float, pytree
from sde_jax.operators.protocol import Variance
from sde_jax.operators.spectrum import solve_diagonal

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601, as in JPEG)."""


@pytree
@dataclass(frozen=True)
class Mask:
    """The known pixels of an example: ``y = known x``, with 0 at unknown pixels.

    ``A^T = A`` and ``A A^T = diag(known^2)``. Examples may have any shape.

    Raises:
      ValueError: when called, if the mask does not fit the examples.
    """

    known: Float[Array, "..."] | Bool[Array, "..."]
    """1 where an example is measured, 0 elsewhere. It has the shape of one example, shared by all,
    or of a batch. Dimensions of size 1, such as channels, broadcast."""

    def __call__(self, x: Examples) -> Examples:
        """Returns ``known x``."""
        return self._known(x) * x

    def adjoint(self, y: Examples) -> Examples:
        """Returns ``known y``."""
        return self._known(y) * y

    def solve(self, y: Examples, variance: Variance, noise_variance: Variance) -> Examples:
        """Returns ``y / (variance known^2 + noise_variance)``, and 0 where the divisor is 0."""
        return solve_diagonal(y, self._known(y) ** 2, variance, noise_variance, cutoff=0.0)

    def _known(self, x: Array) -> Array:
        """Returns the mask in the dtype and rank of a batch."""
        known = jnp.asarray(self.known, x.dtype)
        if known.ndim == x.ndim - 1:
            known = known[None]
        sizes = zip(known.shape, x.shape, strict=False)
        if known.ndim != x.ndim or any(size not in (1, of_x) for size, of_x in sizes):
            raise ValueError(
                f"`known` must have the shape of the examples, {x.shape[1:]}, or of their batch, "
                f"{x.shape}; sizes of 1 broadcast: got shape {self.known.shape}."
            )
        return known


@pytree
@dataclass(frozen=True)
class Channels:
    """A linear combination of the channels of each pixel: ``y = sum_c weights_c x_c``.

    ``A A^T = |weights|^2 I``. Channels are the last dimension of x; y has one channel.

    Raises:
      ValueError: when called, if x has another number of channels, or y more than one.
    """

    weights: Float[Array, "channels"]
    """Weight of each channel."""

    def __call__(self, x: Float[Array, "batch *shape channels"]) -> Float[Array, "batch *shape 1"]:
        """Returns the combination."""
        if x.shape[-1:] != self.weights.shape:
            raise ValueError(
                f"`weights` must be one for each channel: got {self.weights.shape} weights for x "
                f"of shape {x.shape}."
            )
        return (x * self._like(x)).sum(axis=-1, keepdims=True)

    def adjoint(self, y: Float[Array, "batch *shape 1"]) -> Float[Array, "batch *shape channels"]:
        """Returns ``weights_c y`` in channel c."""
        _check_mixture(y)
        return y * self._like(y)

    def solve(
        self, y: Float[Array, "batch *shape 1"], variance: Variance, noise_variance: Variance
    ) -> Float[Array, "batch *shape 1"]:
        """Returns ``y / (variance |weights|^2 + noise_variance)``, and 0 where the divisor is 0."""
        _check_mixture(y)
        square = (self._like(y) ** 2).sum(axis=-1, keepdims=True)
        return solve_diagonal(y, square, variance, noise_variance, cutoff=0.0)

    def _like(self, x: Array) -> Array:
        """Reshapes the weights to the rank of a batch."""
        return self.weights.reshape((1,) * (x.ndim - 1) + (-1,))


def _check_mixture(y: Array) -> None:
    if y.shape[-1:] != (1,):
        raise ValueError(f"y must have one channel: got shape {y.shape}.")


def grey() -> Channels:
    """Builds the conversion of RGB to grey."""
    return Channels(jnp.asarray(LUMA, jnp.float32))
