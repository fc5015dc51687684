"""The networks that are timed: DDPM++ in two sizes."""

import math
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, PyTree
from sde_jax.nets import NCSNppSpec
from sde_jax.recipes.score import computing_in
from sde_jax.training.learner import Learner, TrainState

__all__ = [
    "M",
    "Inputs",
    "S",
    "Size",
    "compute_dtype",
    "drawn",
    "example",
    "first_state",
    "precise",
    "timed",
]


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


def compute_dtype() -> Literal["float32", "bfloat16"]:
    """What networks are timed in."""
    return "float32" if precise() else "bfloat16"


def timed(size: Size) -> nn.Module:
    """The network as it is timed."""
    return computing_in(size.spec.build(), compute_dtype())


def example(size: Size, batch: int) -> Inputs:
    """Parameters that matter to the output, and images of noise at all times."""
    x = jax.random.normal(jax.random.key(0), (batch, *size.shape))
    time = jnp.linspace(1.0, 999.0, batch)
    init = size.spec.build().init
    return Inputs(drawn(jax.eval_shape(init, jax.random.key(1), x, time)["params"]), x, time)


def drawn(shapes: PyTree) -> PyTree:
    """Parameters of these shapes, as of a network that has learned something.

    Kernels keep the size of what they are shown; none is zero, as many are at initialization. They
    are drawn on the host, in a moment.
    """
    rng = np.random.default_rng(0)

    def draw(path: tuple[Any, ...], shape: jax.ShapeDtypeStruct) -> Array:
        noise = rng.standard_normal(shape.shape, np.float32)
        if path[-1].key == "kernel":
            return jnp.asarray(noise / np.float32(np.sqrt(math.prod(shape.shape[:-1]))))
        return jnp.asarray(np.float32(path[-1].key == "scale") + np.float32(0.05) * noise)

    return jax.tree.map_with_path(draw, shapes)


def first_state(learner: Learner, params: PyTree) -> TrainState:
    """The state before the first step, with these parameters."""
    shapes = jax.eval_shape(learner.init, jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: jnp.asarray(np.zeros(leaf.shape, leaf.dtype)), shapes)
    return zeros._replace(params=params, ema_params=jax.tree.map(jnp.array, params))
