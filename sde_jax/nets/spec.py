"""The bases of network specs and of the networks that they build."""

import abc
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.nets.condition import VectorStandardization
from sde_jax.validation import Spec


class NetworkSpec(Spec, abc.ABC):
    """Hyperparameters of a network: a frozen keyword-only dataclass of plain values."""

    classes: int | None = None
    """Number of classes of a class-conditional network; None for an unconditional one."""
    vector: VectorStandardization | None = None
    """The conditioning vector; None for a network that takes none."""

    def padded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape to which the network pads examples of ``shape`` inside.

        Raises:
          ValueError: if it takes no such examples.
        """
        return shape

    @abc.abstractmethod
    def build(self) -> nn.Module:
        """Builds a module ``(x, time, condition=None, *, deterministic)`` that returns float32."""


class NetworkModule(nn.Module):
    """A network with a spec; parameters and outputs are float32."""

    spec: Any
    """Hyperparameters of the network."""
    dtype: DTypeLike = jnp.float32
    """Type of the computation."""
    precision: PrecisionLike = None
    """Precision of every product; None follows ``jax.default_matmul_precision``."""

    @property
    def numerics(self) -> dict[str, Any]:
        """Type and precision, as arguments of layers."""
        return {"dtype": self.dtype, "precision": self.precision}
