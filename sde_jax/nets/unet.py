"""Parts that DDPM and NCSN++ share: hyperparameters, input, padding and time embedding."""

import functools
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, PerExample, Signal
from sde_jax.nets.blocks import ACTIVATIONS, product
from sde_jax.nets.condition import Condition, VectorStandardization
from sde_jax.nets.embedding import conditioned
from sde_jax.nets.spec import NetworkSpec
from sde_jax.validation import (
    BelowOne,
    Classes,
    Depth,
    Levels,
    Multipliers,
    Only,
    Rule,
    Sizes,
    Width,
    each_at_most,
    require,
)

_SEPARATE = Only("`block` is ddpm", lambda spec: spec.block == "ddpm")
Frequencies = Annotated[
    tuple[int, ...],
    Rule("be whole numbers from 0 to 16", lambda powers: all(0 <= n <= 16 for n in powers)),
    each_at_most(16),
]
_SCALED = Only("`scale_by_sigma` is true", lambda spec: spec.scale_by_sigma)


Axes = Literal[1, 2, 3]
"""A number of spatial axes: 1 for series, 2 for images, 3 for volumes."""


@dataclass(frozen=True, kw_only=True)
class UNetSpec(NetworkSpec):
    """Hyperparameters of a U-Net for series, images or volumes of any size."""

    axes: Axes = 2
    """Number of spatial axes of the data: 1 for series, 2 for images, 3 for volumes."""
    channels: Width = 128
    """Width of the first level; other widths are multiples of it."""
    multipliers: Multipliers = (1, 2, 2, 2)
    """Width of each level in multiples of `channels`; each further level halves every axis."""
    blocks_per_level: Depth = 4
    """Residual blocks per level on the way down; the way up has one more."""
    attention_resolutions: Sizes = (16,)
    """Sizes of the longest axis at which blocks attend; the middle always does. Sizes that no level
    has are refused before a run begins."""
    dropout: BelowOne = 0.1
    """Dropout rate inside residual blocks, in training."""
    activation: Literal["swish", "elu", "relu", "lrelu"] = "swish"
    """The nonlinearity; lrelu has slope 0.2."""
    resample_with_convolution: Annotated[bool, _SEPARATE] = True
    """Use convolutions to halve and double the size, where residual blocks do not."""
    rematerialize: bool = False
    """Recompute residual blocks in the backward pass. This saves the memory of their activations
    and takes about a third more time."""
    conditional: bool = True
    """Condition the blocks on time."""
    classes: Classes = None
    """Number of classes of a class-conditional network; None for an unconditional one."""
    vector: VectorStandardization | None = None
    """The conditioning vector; None for a network that takes none."""
    centered: bool = True
    """Data are in [-1, 1]; if False, they are in [0, 1] and the first layer takes 2 x - 1."""
    input_frequencies: Frequencies = ()
    """Powers n for which the first layer also sees sin and cos of 2 pi 2^n x. They resolve the
    distance of neighbouring grey levels (Kingma et al. 2021, arXiv:2107.00630, app. C)."""
    scale_by_sigma: bool = False
    """Divide the output by the noise level. That is exp(time) if time is a log noise level, and
    otherwise level int(time) of a geometric progression."""
    sigma_min: Annotated[float, _SCALED] = 0.01
    """Smallest level of the progression, the last one."""
    sigma_max: Annotated[float, _SCALED] = 50.0
    """Largest level of the progression, number 0."""
    num_scales: Annotated[Levels, _SCALED] = 1000
    """Number of levels of the progression."""

    # Settings that only one of the subclasses has as fields; these are the values of the other.
    groups: ClassVar[int | None] = None
    norm_epsilon: ClassVar[float] = 1e-6
    head_channels: ClassVar[int | None] = None
    attending_up: ClassVar[str] = "last"
    pad_every_side: ClassVar[bool] = False
    max_period: ClassVar[float] = 10_000.0
    embedding: ClassVar[str] = "positional"
    fourier_scale: ClassVar[float] = 16.0
    block: ClassVar[str] = "ddpm"
    resampling_filter: ClassVar[tuple[int, ...] | None] = None
    progressive_input: ClassVar[str] = "none"
    progressive_output: ClassVar[str] = "none"
    combine: ClassVar[Literal["sum", "cat"]] = "sum"
    skip_rescale: ClassVar[bool] = False
    init_scale: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "be None if `conditional` is False, since it is part of the time embedding"
        for field in ("classes", "vector"):
            require(self, field, getattr(self, field) is None or self.conditional, rule)
        levels = 0 < self.sigma_min < self.sigma_max
        require(self, "sigma_min sigma_max", levels, "be positive and below `sigma_max`")

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each level, from full resolution down."""
        return tuple(self.channels * multiplier for multiplier in self.multipliers)

    @property
    def halvings(self) -> int:
        """Number of times that the levels halve every axis."""
        return len(self.multipliers) - 1

    def padded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """See `NetworkSpec.padded`."""
        return padded_shape(shape, self.axes, self.halvings, "multipliers")

    def noise_level(self, time: PerExample) -> PerExample:
        """Returns level ``int(time)`` of the progression, NaN beyond the last; or ``exp(time)``."""
        if self.embedding == "fourier":
            return jnp.exp(time)
        levels = np.geomspace(self.sigma_max, self.sigma_min, self.num_scales, dtype=np.float32)
        return jnp.take(jnp.asarray(levels), time.astype(jnp.int32), mode="fill")


def padded_shape(shape: tuple[int, ...], axes: int, halvings: int, field: str) -> tuple[int, ...]:
    """Returns the shape of an example with every axis as the next multiple of ``2**halvings``.

    Args:
      shape: sizes of the axes, then the number of channels.
      axes: the number of spatial axes that the network has.
      halvings: the number of times that its levels halve them.
      field: the field that states the levels, for the message.

    Raises:
      ValueError: if the example has another number of axes, or the last halving would find a single
        pixel.
    """
    *sizes, channels = shape if len(shape) > 1 else (1, *shape)
    if len(shape) != axes + 1:
        kinds = "[size, channels]", "[height, width, channels]", "[depth, height, width, channels]"
        remedy = f"Set `axes` to {len(sizes)}" if 2 <= len(shape) <= 4 else "Reshape them"
        raise ValueError(
            f"examples of a network with axes={axes} must be {kinds[axes - 1]}: got shape "
            f"{shape}. {remedy}."
        )
    unit = 2**halvings
    if unit >= 2 * max(sizes):
        raise ValueError(
            f"the longest axis must exceed {unit // 2}, since the levels of `{field}` halve it "
            f"{halvings} times: got examples of shape {shape}. Use fewer levels."
        )
    return (*(-(-size // unit) * unit for size in sizes), channels)


def pad(x: Signal, shape: tuple[int, ...]) -> Signal:
    """Pads every axis of ``x`` with zeros at its end, to the sizes of ``shape``."""
    extra = [new - size for size, new in zip(x.shape[1:-1], shape[:-1], strict=True)]
    return jnp.pad(x, [(0, 0), *((0, n) for n in extra), (0, 0)]) if any(extra) else x


def crop(x: Signal, shape: tuple[int, ...]) -> Signal:
    """Undoes `pad` of a signal whose examples have the sizes of ``shape``."""
    sizes = shape[:-1]
    return x if x.shape[1:-1] == sizes else x[(slice(None), *map(slice, sizes))]


def unet_input(spec: UNetSpec, x: Signal, condition: Condition) -> Signal:
    """Returns the signal in [-1, 1], concatenated with its Fourier features and the unscaled
    conditioning image, and padded to sizes that the levels can halve.

    Raises:
      ValueError: if ``x`` has another number of axes or cannot be halved so often, or the
        conditioning image has another size.
    """
    shape = spec.padded(x.shape[1:])
    image = condition.image
    if image is not None and image.shape[:-1] != x.shape[:-1]:
        raise ValueError(
            "the conditioning image must have the batch and the size of x: got shapes "
            f"{image.shape} and {x.shape}"
        )
    x = x if spec.centered else 2 * x - 1
    waves = [2 * jnp.pi * 2**power * x for power in spec.input_frequencies]
    features = [wave(turns) for turns in waves for wave in (jnp.sin, jnp.cos)]
    parts = [x, *features, *([] if image is None else [image])]
    return pad(jnp.concatenate(parts, axis=-1) if parts[1:] else x, shape)


def time_layers(
    spec: UNetSpec,
    features: Float[Array, "batch features"],
    condition: Condition,
    dtype: DTypeLike,
    precision: PrecisionLike,
) -> Float[Array, "batch width"] | None:
    """Returns the activated embedding of time, label and vector; None if `conditional` is False.

    It applies two dense layers to the time features and adds the embeddings of the condition. The
    layers become submodules of the calling module.
    """
    embedding = features
    if spec.conditional:
        dense = functools.partial(product, 4 * spec.channels, dtype, precision)
        embedding = ACTIVATIONS[spec.activation](dense()(features))
        embedding = dense()(embedding)
    embedding = conditioned(spec, embedding, condition, dtype=dtype, precision=precision)
    embedding = ACTIVATIONS[spec.activation](embedding)
    return embedding if spec.conditional else None
