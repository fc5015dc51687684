"""The timed networks: DDPM++ in two sizes, with random parameters."""

import math
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import CompiledProgram, compile_program
from sde_jax.arrays import Array, PyTree
from sde_jax.nets import NCSNppSpec
from sde_jax.training import Learner, TrainState

OUTPUT_TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}
"""Largest difference of two equal computations, in standard deviations of the output."""


class Size(NamedTuple):
    """A network and the size of its images."""

    name: str
    spec: NCSNppSpec
    image: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image."""
        return (self.image, self.image, 3)


S = Size(
    "DDPM++ S",
    NCSNppSpec(channels=64, multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(8,)),
    16,
)
"""3.0 M parameters, 0.6 GFLOP per image."""
M = Size("DDPM++ M", NCSNppSpec(channels=64, blocks_per_level=2), 32)
"""9.9 M parameters, 3.6 GFLOP per image."""


class Inputs(NamedTuple):
    """Inputs of a network."""

    params: PyTree
    x: Array
    time: Array


def on_cpu() -> bool:
    """Returns True on a CPU, where networks compute in float32."""
    return jax.default_backend() == "cpu"


def compute_dtype() -> Literal["float32", "bfloat16"]:
    """Returns the type in which networks are timed."""
    return "float32" if on_cpu() else "bfloat16"


def timed_network(size: Size) -> nn.Module:
    """Builds the network in the timed precision."""
    return size.spec.build().clone(dtype=jnp.dtype(compute_dtype()))


def compile_evaluation(size: Size, inputs: Inputs) -> CompiledProgram:
    """Compiles one evaluation of the network."""
    network = timed_network(size)
    return compile_program(lambda p, x, time: network.apply({"params": p}, x, time), *inputs)


def example_inputs(size: Size, batch: int) -> Inputs:
    """Returns random parameters, images of noise, and times over the whole range."""
    x = jax.random.normal(jax.random.key(0), (batch, *size.shape))
    time = jnp.linspace(1.0, 999.0, batch)
    init = size.spec.build().init
    shapes = jax.eval_shape(init, jax.random.key(1), x, time)["params"]
    return Inputs(random_parameters(shapes), x, time)


def random_parameters(shapes: PyTree) -> PyTree:
    """Draws parameters of these shapes that resemble those of a trained network.

    Kernels preserve the scale of their inputs; no parameter is zero, as many are at
    initialization. NumPy draws them on the host, which takes a moment.
    """
    rng = np.random.default_rng(0)

    def draw(path: tuple[Any, ...], shape: jax.ShapeDtypeStruct) -> Array:
        noise = rng.standard_normal(shape.shape, np.float32)
        if path[-1].key == "kernel":
            return jnp.asarray(noise / np.float32(np.sqrt(math.prod(shape.shape[:-1]))))
        return jnp.asarray(np.float32(path[-1].key == "scale") + np.float32(0.05) * noise)

    return jax.tree.map_with_path(draw, shapes)


def initial_state(learner: Learner) -> TrainState:
    """Returns the state before the first step, with random parameters."""
    shapes = jax.eval_shape(learner.init, jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: jnp.asarray(np.zeros(leaf.shape, leaf.dtype)), shapes)
    params = random_parameters(shapes.params)
    return zeros._replace(params=params, ema_params=jax.tree.map(jnp.array, params))


def output_difference(output: Any, other: Any) -> float:
    """Returns the largest difference of two outputs, in standard deviations of the first.

    Raises:
      AssertionError: if the difference exceeds rounding.
    """
    first, second = np.asarray(output), np.asarray(other)
    difference = float(np.abs(first - second).max() / first.std())
    assert difference < OUTPUT_TOLERANCE[compute_dtype()], f"outputs differ by {difference:.1e}"
    return difference
