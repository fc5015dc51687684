"""What DDPM and NCSN++ have in common: a U-Net's shape, its input, and how it is told the time."""

import functools
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, Int
from sde_jax.nets.blocks import ACTIVATIONS, Activation, Image, product
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import LabelEmbedding
from sde_jax.nets.spec import NetworkSpec

__all__ = ["UNetSpec", "require_one_of", "time_layers", "unet_input"]


@dataclass(frozen=True, kw_only=True)
class UNetSpec(NetworkSpec):
    """The shape of a U-Net for images."""

    channels: int = 128
    """Width of the first level; the other widths are multiples of it."""
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    """Width of each level in units of `channels`; each further level halves the image."""
    blocks_per_level: int = 4
    """Residual blocks of each level on the way down; on the way up there is one more."""
    attention_resolutions: tuple[int, ...] = (16,)
    """Image sizes at which blocks attend; the middle always does. Sizes that do not occur are
    passed over."""
    dropout: float = 0.1
    """Probability of dropping an activation inside a residual block, in training."""
    activation: Literal["swish", "elu", "relu", "lrelu"] = "swish"
    """The nonlinearity; lrelu has slope 0.2."""
    resample_with_convolution: bool = True
    """Whether images are halved and doubled by convolutions, where no residual block does it."""
    rematerialize: bool = False
    """Whether a residual block is computed again for its gradient, which saves the memory for what
    is inside and costs about a third more time."""
    conditional: bool = True
    """Whether the blocks are told the time."""
    classes: int | None = None
    """Number of classes, for a network that is told the label."""
    centered: bool = True
    """Whether images are in [-1, 1]; otherwise they are in [0, 1], and the first layer gets
    2 x - 1."""
    scale_by_sigma: bool = False
    """Whether the output is divided by the noise level: exp(time) if the time is the logarithm of
    one, otherwise level number int(time) of a geometric progression."""
    sigma_min: float = 0.01
    """Lowest level of the progression, the last one."""
    sigma_max: float = 50.0
    """Highest level of the progression, number 0."""
    num_scales: int = 1000
    """Number of levels of the progression."""

    def __post_init__(self) -> None:
        if self.channels < 4:
            raise ValueError(f"`channels` must be at least 4: got {self.channels}")
        if not self.multipliers or min(self.multipliers) < 1:
            raise ValueError(
                "`multipliers` must be one positive integer for each level, such as (1, 2, 2): "
                f"got {self.multipliers}"
            )
        if self.blocks_per_level < 1:
            raise ValueError(f"`blocks_per_level` must be at least 1: got {self.blocks_per_level}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1): got {self.dropout}")
        require_one_of("activation", self.activation, *ACTIVATIONS)
        if self.classes is not None and self.classes < 1:
            raise ValueError(
                f"`classes` must be at least 1, or None for no label: got {self.classes}"
            )
        if self.classes is not None and not self.conditional:
            raise ValueError(
                "`classes` must be None if `conditional` is False: blocks are told the label along "
                f"with the time: got classes={self.classes}"
            )
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(
                "`sigma_min` must be positive and below `sigma_max`: got "
                f"sigma_min={self.sigma_min}, sigma_max={self.sigma_max}"
            )
        if self.num_scales < 2:
            raise ValueError(f"`num_scales` must be at least 2: got {self.num_scales}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each level, from the image's own size down."""
        return tuple(self.channels * multiplier for multiplier in self.multipliers)

    @property
    def activate(self) -> Activation:
        """The nonlinearity as a function."""
        return ACTIVATIONS[self.activation]

    def noise_level(self, time: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """Level number ``int(time)`` of the progression; NaN beyond the last."""
        levels = np.geomspace(self.sigma_max, self.sigma_min, self.num_scales, dtype=np.float32)
        return jnp.take(jnp.asarray(levels), time.astype(jnp.int32), mode="fill")


def require_one_of(field: str, value: str, *choices: str) -> None:
    """Raises a ValueError unless ``value`` is among ``choices``."""
    if value not in choices:
        names = ", ".join(repr(choice) for choice in choices[:-1])
        raise ValueError(f"`{field}` must be {names} or {choices[-1]!r}: got {value!r}")


def unet_input(spec: UNetSpec, x: Image, condition: Condition) -> Image:
    """The image in [-1, 1], and the channels of the conditioning image, as they are, behind it.

    Raises:
      ValueError: if ``x`` is not square or cannot be halved often enough, or the conditioning
        image is not of its size.
    """
    if x.ndim != 4 or x.shape[1] != x.shape[2]:
        raise ValueError(
            f"images must be square, [batch, size, size, channels]: got shape {x.shape}"
        )
    levels, factor = len(spec.multipliers), 2 ** (len(spec.multipliers) - 1)
    if x.shape[1] % factor:
        raise ValueError(
            f"image size {x.shape[1]} must be divisible by {factor}: {levels} levels halve it "
            f"{levels - 1} times. Pad the images or use fewer `multipliers`."
        )
    image = condition.image
    if image is not None and image.shape[:3] != x.shape[:3]:
        raise ValueError(
            "the conditioning image must have the batch, height and width of x: got shapes "
            f"{image.shape} and {x.shape}"
        )
    x = x if spec.centered else 2 * x - 1
    return x if image is None else jnp.concatenate([x, image], axis=-1)


def time_layers(
    spec: UNetSpec,
    features: Float[Array, "batch features"],
    label: Int[Array, "batch"] | None,
    dtype: DTypeLike,
    precision: PrecisionLike,
) -> Float[Array, "batch width"] | None:
    """The vector that every block is given, activated; None if `conditional` is False.

    Two dense layers of the embedded time, and the label's embedding: submodules of the module
    that calls this.
    """
    embedding = features
    if spec.conditional:
        dense = functools.partial(product, 4 * spec.channels, dtype, precision)
        embedding = spec.activate(dense()(features))
        embedding = dense()(embedding)
    embedding = spec.activate(LabelEmbedding(spec.classes)(embedding, label))
    return embedding if spec.conditional else None
