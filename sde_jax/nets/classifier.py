"""A small residual classifier of images, whose features are also used by metrics."""

import functools
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Image, PerExample
from sde_jax.nets.blocks import GroupNorm, ResidualBlock, convolve, product
from sde_jax.nets.embedding import positional_embedding
from sde_jax.nets.resampling import downsample
from sde_jax.nets.spec import NetworkModule
from sde_jax.validation import BelowOne, GroupWidth, Multipliers, Spec, at_least, at_most


class Classified(NamedTuple):
    """Outputs of a classifier, in float32."""

    features: Float[Array, "batch features"]
    """Activations of the last hidden layer."""
    logits: Float[Array, "batch classes"]
    """Unnormalized log probabilities of the classes."""


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec(Spec):
    """Hyperparameters of a ``Classifier``."""

    classes: Annotated[int, at_least(2), at_most(10**6)] = 10
    """Number of classes."""
    channels: GroupWidth = 32
    """Width of the first convolution."""
    multipliers: Multipliers = (1, 2)
    """Width of each level in multiples of ``channels``; each level halves height and width."""
    features: Annotated[int, at_least(1), at_most(2**16)] = 64
    """Width of the last hidden layer. It is the dimension of a Fréchet distance, whose
    finite-sample bias grows with its square."""
    dropout: BelowOne = 0.1
    """Dropout rate inside blocks and before the last layer."""

    def build(self) -> "Classifier":
        """Builds the network."""
        return Classifier(self)


class Classifier(NetworkModule):
    """A residual network for images of any size that its levels can halve.

    Called as ``(x, time=None, *, deterministic=True)``; dropout needs ``rngs={"dropout": key}``.
    Its layers are a convolution, one halving residual block per level (`ResidualBlock`),
    ``swish(norm(h))`` of all pixels, dropout, and two dense layers:
    ``features = swish(Dense_0(h))``, ``logits = Dense_1(dropout(features))``.

    Without ``time``, ``x`` of shape ``[batch, height, width, channels]`` is in [0, 1] and the first
    convolution takes ``2 x - 1``. With ``time`` of shape ``[batch]``, in about [0, 1000], it is a
    classifier of noisy images (Song et al. 2021, arXiv:2011.13456, appendix I). Then ``x`` has
    about unit scale at every noise level, as `sde_jax.score.ClassifierModel` provides it, and is
    not rescaled. Every block takes the time embedding
    ``swish(time_1(swish(time_0(positional_embedding(time)))))``, as in DDPM. The call that
    initializes the parameters decides between the two variants.

    Raises:
      ValueError: if the examples are not images, or the levels cannot halve them.
    """

    spec: ClassifierSpec

    @nn.compact
    def __call__(
        self, x: Image, time: PerExample | None = None, *, deterministic: bool = True
    ) -> Classified:
        spec, numerics = self.spec, self.numerics
        dense = functools.partial(nn.Dense, **numerics)
        residual = functools.partial(
            ResidualBlock, resample=downsample, dropout=spec.dropout, **numerics
        )
        check_shape(x.shape[1:], len(spec.multipliers))
        dropout = nn.Dropout(spec.dropout, deterministic=deterministic)
        embedding = None if time is None else self._embedded(time)
        h = convolve(2 * x - 1 if time is None else x, spec.channels, **numerics)
        for multiplier in spec.multipliers:
            h = residual(multiplier * spec.channels)(h, embedding, deterministic=deterministic)
        h = nn.swish(GroupNorm(dtype=self.dtype)(h)).reshape(len(h), -1)
        features = nn.swish(dense(spec.features)(dropout(h)))
        logits = dense(spec.classes)(dropout(features))
        return Classified(features.astype(jnp.float32), logits.astype(jnp.float32))

    @nn.nowrap
    def _embedded(self, time: PerExample) -> Float[Array, "batch width"]:
        """Returns the activated time embedding of the blocks."""
        embedding = positional_embedding(time, self.spec.channels)
        for name in ("time_0", "time_1"):
            layer = product(4 * self.spec.channels, **self.numerics, name=name)
            embedding = nn.swish(layer(embedding))
        return embedding


def check_shape(shape: tuple[int, ...], levels: int) -> None:
    """Raises `ValueError` unless examples are images that can be halved ``levels`` times."""
    if len(shape) != 3:
        raise ValueError(f"a classifier takes images: got examples of shape {shape}.")
    if shape[0] % 2**levels or shape[1] % 2**levels:
        raise ValueError(
            f"height and width must be divisible by {2**levels} for the {levels} levels of "
            f"`multipliers`: got images of {shape[0]}x{shape[1]}."
        )
