"""The networks that are timed: DDPM++ in two sizes."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, PRNGKeyArray, PyTree
from sde_jax.nets.ncsnpp import NCSNppSpec
from sde_jax.nets.spec import NetworkSpec

__all__ = ["M", "Inputs", "S", "Size", "Timed", "example", "perturbed", "precise"]


class Size(NamedTuple):
    """A network with the images that it is shown."""

    name: str
    spec: NCSNppSpec
    image: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image."""
        return (self.image, self.image, 3)


S = Size(
    "DDPM++ S",
    NCSNppSpec(channels=64, multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(8,)),
    16,
)
"""3.0 M parameters, 0.6 GFLOP for an image."""
M = Size("DDPM++ M", NCSNppSpec(channels=64, blocks_per_level=2), 32)
"""9.9 M parameters, 3.6 GFLOP for an image."""


class Inputs(NamedTuple):
    """What a network is shown."""

    params: PyTree
    x: Array
    time: Array


def precise() -> bool:
    """Whether networks compute in float32: on a CPU, not on an accelerator."""
    return jax.default_backend() == "cpu"


@dataclass(frozen=True, kw_only=True)
class Timed(NetworkSpec):
    """A network in the precision that it is timed in."""

    spec: NCSNppSpec
    classes: int | None = None

    def build(self) -> nn.Module:
        """In bfloat16 on an accelerator, in float32 on a CPU."""
        return self.spec.build() if precise() else self.spec.build().clone(dtype=jnp.bfloat16)


def example(size: Size, batch: int) -> Inputs:
    """Parameters that matter to the output, and images of noise at all times."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch, *size.shape))
    time = jnp.linspace(1.0, 999.0, batch)
    params = size.spec.build().init(keys[1], x[:1], time[:1])["params"]
    return Inputs(perturbed(params, keys[2]), x, time)


def perturbed(params: PyTree, key: PRNGKeyArray, deviation: float = 0.05) -> PyTree:
    """Parameters with noise, since those that are new have an output near zero."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    noisy: list[Any] = [
        leaf + deviation * jax.random.normal(key, leaf.shape)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, noisy)
