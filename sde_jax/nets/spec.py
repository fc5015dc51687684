"""What describes a network."""

import abc

import flax.linen as nn

__all__ = ["NetworkSpec"]


class NetworkSpec(abc.ABC):
    """The shape of a network: a frozen keyword-only dataclass of plain values."""

    classes: int | None = None
    """Number of classes, for a network that is told the label; None for one that is not."""

    @abc.abstractmethod
    def build(self) -> nn.Module:
        """A module called as ``(x, time, condition=None, *, deterministic)``, returning float32."""
