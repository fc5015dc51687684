"""The U-Net of Ho et al. 2020 (arXiv:2006.11239), as trained by Song et al. 2021."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from sde_jax.nets.ncsnpp import NCSNpp
from sde_jax.nets.unet import UNetSpec
from sde_jax.validation import Depth, Positive, at_least, require

GROUPS = 32


@dataclass(frozen=True, kw_only=True)
class DDPMSpec(UNetSpec):
    """Hyperparameters of a ``DDPM`` network; the defaults are those published for CIFAR-10."""

    blocks_per_level: Depth = 2
    """Residual blocks per level on the way down; the way up has one more."""
    attending_up: Literal["last", "every"] = "last"
    """Blocks with attention on the way up, at attending levels: the last one, as in Song et al., or
    every one, as in Ho et al. On the way down every block attends."""
    head_channels: Annotated[int | None, at_least(1)] = None
    """Width of an attention head, which must divide that of its level; None for one head."""
    pad_every_side: bool = False
    """Padding of halving convolutions: zeros on every side, or, as published, only below and on the
    right."""
    max_period: Positive = 10_000.0
    """The slowest component of the time embedding is ``sin(time / max_period)``."""
    norm_epsilon: Positive = 1e-6
    """Epsilon of the normalizations."""

    groups: ClassVar[int | None] = GROUPS

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"be a multiple of {GROUPS}, the number of normalization groups"
        require(self, "channels", self.channels % GROUPS == 0, rule)

    def build(self) -> "DDPM":
        """Builds the network."""
        return DDPM(self)


class DDPM(NCSNpp):
    """`NCSNpp` with the settings of a `DDPMSpec`: positional embedding, no pyramids, no filter.

    Times are in about [0, 1000]. Residual blocks do not resample.
    """

    spec: DDPMSpec
