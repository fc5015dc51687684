"""The interface of network specs."""

import abc

import flax.linen as nn

from sde_jax.validation import Spec


class NetworkSpec(Spec, abc.ABC):
    """Hyperparameters of a network: a frozen keyword-only dataclass of plain values."""

    classes: int | None = None
    """Number of classes of a class-conditional network; None for an unconditional one."""

    @abc.abstractmethod
    def build(self) -> nn.Module:
        """Builds a module ``(x, time, condition=None, *, deterministic)`` that returns float32."""
