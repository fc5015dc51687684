"""Parts that DDPM and NCSN++ share: hyperparameters, input and time embedding."""

import functools
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, Image, Int, PerExample
from sde_jax.nets.blocks import ACTIVATIONS, product
from sde_jax.nets.condition import Condition
from sde_jax.nets.embedding import LabelEmbedding
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


@dataclass(frozen=True, kw_only=True)
class UNetSpec(NetworkSpec):
    """Hyperparameters of a U-Net for images."""

    channels: Width = 128
    """Width of the first level; other widths are multiples of it."""
    multipliers: Multipliers = (1, 2, 2, 2)
    """Width of each level in multiples of `channels`; each further level halves the image."""
    blocks_per_level: Depth = 4
    """Residual blocks per level on the way down; the way up has one more."""
    attention_resolutions: Sizes = (16,)
    """Image sizes at which blocks attend; the middle always does. Sizes that no level
    has are refused before a run begins."""
    dropout: BelowOne = 0.1
    """Dropout rate inside residual blocks, in training."""
    activation: Literal["swish", "elu", "relu", "lrelu"] = "swish"
    """The nonlinearity; lrelu has slope 0.2."""
    resample_with_convolution: Annotated[bool, _SEPARATE] = True
    """Use convolutions to halve and double images, where residual blocks do not."""
    rematerialize: bool = False
    """Recompute residual blocks in the backward pass. This saves the memory of their activations
    and takes about a third more time."""
    conditional: bool = True
    """Condition the blocks on time."""
    classes: Classes = None
    """Number of classes of a class-conditional network; None for an unconditional one."""
    centered: bool = True
    """Images are in [-1, 1]; if False, they are in [0, 1] and the first layer takes 2 x - 1."""
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
        labelled = "be None if `conditional` is False, since labels are part of the time embedding"
        require(self, "classes", self.classes is None or self.conditional, labelled)
        levels = 0 < self.sigma_min < self.sigma_max
        require(self, "sigma_min sigma_max", levels, "be positive and below `sigma_max`")

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each level, from full resolution down."""
        return tuple(self.channels * multiplier for multiplier in self.multipliers)

    def noise_level(self, time: PerExample) -> PerExample:
        """Returns level ``int(time)`` of the progression, NaN beyond the last; or ``exp(time)``."""
        if self.embedding == "fourier":
            return jnp.exp(time)
        levels = np.geomspace(self.sigma_max, self.sigma_min, self.num_scales, dtype=np.float32)
        return jnp.take(jnp.asarray(levels), time.astype(jnp.int32), mode="fill")


def check_size(x: Image, levels: int, times: int, field: str) -> None:
    """Raises `ValueError` unless ``x`` is square and the levels of ``field`` can halve it."""
    if x.ndim != 4 or x.shape[1] != x.shape[2]:
        raise ValueError(
            f"images must be square, [batch, size, size, channels]: got shape {x.shape}"
        )
    if x.shape[1] % 2**times:
        raise ValueError(
            f"image size {x.shape[1]} must be divisible by {2**times}: {levels} levels halve it "
            f"{times} times: got shape {x.shape}. Pad the images or use fewer `{field}`."
        )


def unet_input(spec: UNetSpec, x: Image, condition: Condition) -> Image:
    """Returns the image in [-1, 1], concatenated with its Fourier features and the unscaled
    conditioning image.

    Raises:
      ValueError: if ``x`` is not square or cannot be halved often enough, or the conditioning image
        has another size.
    """
    check_size(x, len(spec.multipliers), len(spec.multipliers) - 1, "multipliers")
    image = condition.image
    if image is not None and image.shape[:3] != x.shape[:3]:
        raise ValueError(
            "the conditioning image must have the batch, height and width of x: got shapes "
            f"{image.shape} and {x.shape}"
        )
    x = x if spec.centered else 2 * x - 1
    waves = [2 * jnp.pi * 2**power * x for power in spec.input_frequencies]
    features = [wave(turns) for turns in waves for wave in (jnp.sin, jnp.cos)]
    parts = [x, *features, *([] if image is None else [image])]
    return jnp.concatenate(parts, axis=-1) if parts[1:] else x


def time_layers(
    spec: UNetSpec,
    features: Float[Array, "batch features"],
    label: Int[Array, "batch"] | None,
    dtype: DTypeLike,
    precision: PrecisionLike,
) -> Float[Array, "batch width"] | None:
    """Returns the activated embedding of time and label; None if `conditional` is False.

    It applies two dense layers to the time features and adds the label embedding. The layers become
    submodules of the calling module.
    """
    embedding = features
    if spec.conditional:
        dense = functools.partial(product, 4 * spec.channels, dtype, precision)
        embedding = ACTIVATIONS[spec.activation](dense()(features))
        embedding = dense()(embedding)
    embedding = ACTIVATIONS[spec.activation](LabelEmbedding(spec.classes)(embedding, label))
    return embedding if spec.conditional else None
