"""The modules of a U-Net in the order of their calls, and the shapes of its parameters."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from sde_jax.interop.gathering import Shape
from sde_jax.nets.ddpm import DDPMSpec
from sde_jax.nets.ncsnpp import NCSNppSpec

UNetSpec = DDPMSpec | NCSNppSpec


class Module(NamedTuple):
    """A module at the top of a network."""

    kind: str
    """Its class here."""
    name: str
    """Its name in diffusers."""
    listed: bool = True
    """True if it is in ``all_modules``, whose index names it in PyTorch files of score_sde."""
    parameters: bool = True
    """True if it has parameters; our network has no modules without."""
    path: str = ""
    """Its name here, ``<kind>_k`` for the k-th with parameters."""


def parameter_shapes(network: nn.Module, shape: Shape) -> dict[str, Any]:
    """Returns the tree of the shapes of parameters, for images of ``shape``."""
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    time = jax.ShapeDtypeStruct((1,), jnp.float32)
    params = jax.eval_shape(network.init, jax.random.key(0), images, time)["params"]
    return jax.tree.map(lambda leaf: leaf.shape, params)


def modules(spec: UNetSpec, size: int) -> Iterator[Module]:
    """Yields the modules of a network for images of ``size`` in the order of their calls.

    Files of diffusers have `Module.name`. PyTorch files of score_sde number the listed modules, and
    its Flax files all modules of a class, including those without parameters.
    """
    counts = Counter[str]()
    for module in calls(spec, size):
        yield module._replace(path=f"{module.kind}_{counts[module.kind]}")
        counts[module.kind] += module.parameters


def calls(spec: UNetSpec, size: int) -> Iterator[Module]:
    """Yields the modules without their paths."""
    if isinstance(spec, NCSNppSpec) and spec.embedding == "fourier":
        yield Module("GaussianFourierFeatures", "time_proj")
    if spec.conditional:
        yield Module("Dense", "time_embedding.linear_1")
        yield Module("Dense", "time_embedding.linear_2")
    if spec.classes is not None:
        yield Module("LabelEmbedding", "class_embedding")
    yield Module("Conv", "conv_in")
    levels = range(len(spec.multipliers))
    attends = [size >> level in spec.attention_resolutions for level in levels]
    for level in levels:
        yield from down(spec, f"down_blocks.{level}", attends[level], level == levels[-1])
    yield Module("ResidualBlock", "mid_block.resnets.0")
    yield Module("AttentionBlock", "mid_block.attentions.0")
    yield Module("ResidualBlock", "mid_block.resnets.1")
    for index in levels:
        yield from up(spec, index, attends[levels[-1] - index], index == levels[-1])
    if isinstance(spec, DDPMSpec) or spec.progressive_output != "output_skip":
        yield from projection("conv_norm_out", "conv_out")


def down(spec: UNetSpec, name: str, attends: bool, last: bool) -> Iterator[Module]:
    """Yields the modules of a level on the way down."""
    for block in range(spec.blocks_per_level):
        yield Module("ResidualBlock", f"{name}.resnets.{block}")
        if attends:
            yield Module("AttentionBlock", f"{name}.attentions.{block}")
    if last:
        return
    yield resampling(spec, "Downsample", f"{name}.resnet_down", f"{name}.downsamplers.0")
    match getattr(spec, "progressive_input", "none"):
        case "input_skip":
            yield Module("Downsample", "", listed=False, parameters=False)
            yield Module("Combine", f"{name}.skip_conv")
        case "residual":
            yield Module("Downsample", "")


def up(spec: UNetSpec, index: int, attends: bool, last: bool) -> Iterator[Module]:
    """Yields the modules of a level on the way up; level 0 has the lowest resolution."""
    name, every = f"up_blocks.{index}", getattr(spec, "attending_up", "last") == "every"
    for block in range(spec.blocks_per_level + 1):
        yield Module("ResidualBlock", f"{name}.resnets.{block}")
        if attends and every:
            yield Module("AttentionBlock", f"{name}.attentions.{block}")
    if attends and not every:
        yield Module("AttentionBlock", f"{name}.attentions.0")
    output = getattr(spec, "progressive_output", "none")
    if output == "residual" and index > 0:
        yield Module("Upsample", "")
    elif output != "none":
        if index > 0:
            yield Module("Upsample", "", listed=False, parameters=False)
        ends = ("conv_norm_out", "conv_out") if last else (f"{name}.skip_norm", f"{name}.skip_conv")
        yield from projection(*ends)
    if not last:
        yield resampling(spec, "Upsample", f"{name}.resnet_up", f"{name}.upsamplers.0")


def projection(norm: str, convolution: str) -> tuple[Module, Module]:
    """Returns a normalization and a convolution."""
    return Module("GroupNorm", norm), Module("Conv", convolution)


def resampling(spec: UNetSpec, kind: str, block: str, layer: str) -> Module:
    """Returns the module that halves or doubles the image: a residual block, or a layer."""
    if isinstance(spec, NCSNppSpec) and spec.block == "biggan":
        return Module("ResidualBlock", block)
    return Module(kind, layer, parameters=spec.resample_with_convolution)
