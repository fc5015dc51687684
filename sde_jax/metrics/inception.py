"""The Inception-v3 of 2015-12-05, the feature network of the Fréchet Inception Distance."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, Image, PyTree
from sde_jax.metrics.inception_images import InceptionPreprocessing, prepare
from sde_jax.validation import Spec


@dataclass(frozen=True, kw_only=True)
class InceptionFeatures(Spec):
    """Inception features of images: ``features(params, images)``.

    Published numbers are comparable only with the same preprocessing.

    Attributes:
      preprocessing: conversion of images to the network's input; see `prepare`.
      dtype: type of the computation inside the network.
      precision: precision of its products. Anything but "highest" deviates from published features,
        by 5e-4 on GPUs and 4e-3 on TPUs.
    """

    preprocessing: InceptionPreprocessing = "tensorflow"
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = "highest"

    def __call__(self, params: PyTree, images: Image) -> dict[str, Float[Array, "batch dimension"]]:
        """Returns the outputs of `Inception` for gray or RGB images with levels from 0 to 255."""
        network = Inception(dtype=self.dtype, precision=self.precision)
        x = prepare(images, self.preprocessing)
        return cast(dict[str, Array], network.apply({"params": params}, x))


@dataclass(frozen=True)
class Unit:
    """A convolution with bias, followed by a ReLU."""

    name: str
    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


def average(x: Image) -> Image:
    """Applies 3x3 average pooling that excludes the padding."""
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def maximum(x: Image) -> Image:
    """Applies 3x3 max pooling."""
    return nn.max_pool(x, (3, 3), padding="SAME")


def halve(x: Image) -> Image:
    """Applies 3x3 max pooling with stride 2."""
    return nn.max_pool(x, (3, 3), (2, 2))


Step = Unit | Callable[[Image], Image] | tuple[Unit, ...]
"""A layer of a branch. Units in a tuple take the same input; their outputs are concatenated."""

Branches = tuple[tuple[Step, ...], ...]


def unpadded(name: str, features: int, stride: int = 1) -> Unit:
    """Builds a 3x3 unit without padding."""
    return Unit(name, features, (3, 3), stride, "VALID")


def chain(name: str, *layers: tuple[int, int, int]) -> tuple[Unit, ...]:
    """Builds units ``name_1``, ``name_2``, ... of features, kernel height and kernel width."""
    return tuple(Unit(f"{name}_{i}", n, (h, w)) for i, (n, h, w) in enumerate(layers, start=1))


def block_a(pooled: int) -> Branches:
    """Builds a block for 35x35 pixels."""
    return (
        (Unit("branch1x1", 64),),
        chain("branch5x5", (48, 1, 1), (64, 5, 5)),
        chain("branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3)),
        (average, Unit("branch_pool", pooled)),
    )


def block_b() -> Branches:
    """Builds the block from 35x35 to 17x17 pixels."""
    return (
        (unpadded("branch3x3", 384, 2),),
        (*chain("branch3x3dbl", (64, 1, 1), (96, 3, 3)), unpadded("branch3x3dbl_3", 96, 2)),
        (halve,),
    )


def block_c(width: int) -> Branches:
    """Builds a block for 17x17 pixels."""
    pointwise, row, column = (width, 1, 1), (width, 1, 7), (width, 7, 1)
    return (
        (Unit("branch1x1", 192),),
        chain("branch7x7", pointwise, row, (192, 7, 1)),
        chain("branch7x7dbl", pointwise, column, row, column, (192, 1, 7)),
        (average, Unit("branch_pool", 192)),
    )


def block_d() -> Branches:
    """Builds the block from 17x17 to 8x8 pixels."""
    separable = chain("branch7x7x3", (192, 1, 1), (192, 1, 7), (192, 7, 1))
    return (
        (Unit("branch3x3_1", 192), unpadded("branch3x3_2", 320, 2)),
        (*separable, unpadded("branch7x7x3_4", 192, 2)),
        (halve,),
    )


def block_e(pool: Callable[[Image], Image]) -> Branches:
    """Builds a block for 8x8 pixels."""

    def both(name: str) -> tuple[Unit, Unit]:
        return Unit(f"{name}a", 384, (1, 3)), Unit(f"{name}b", 384, (3, 1))

    return (
        (Unit("branch1x1", 320),),
        (Unit("branch3x3_1", 384), both("branch3x3_2")),
        (*chain("branch3x3dbl", (448, 1, 1), (384, 3, 3)), both("branch3x3dbl_3")),
        (pool, Unit("branch_pool", 192)),
    )


STEM: dict[str, tuple[Step, ...]] = {
    "64": (
        unpadded("Conv2d_1a_3x3", 32, 2),
        unpadded("Conv2d_2a_3x3", 32),
        Unit("Conv2d_2b_3x3", 64, (3, 3)),
        halve,
    ),
    "192": (Unit("Conv2d_3b_1x1", 80), unpadded("Conv2d_4a_3x3", 192), halve),
}
"""Layers before the first features, and between the first and the second."""

BLOCKS: dict[str, dict[str, Branches]] = {
    "768": {
        "Mixed_5b": block_a(32),
        "Mixed_5c": block_a(64),
        "Mixed_5d": block_a(64),
        "Mixed_6a": block_b(),
        "Mixed_6b": block_c(128),
        "Mixed_6c": block_c(160),
        "Mixed_6d": block_c(160),
        "Mixed_6e": block_c(192),
    },
    "2048": {
        "Mixed_7a": block_d(),
        "Mixed_7b": block_e(average),
        "Mixed_7c": block_e(maximum),
    },
}
"""Blocks before the other features."""

CLASSES = 1008


def follow(x: Image, branch: tuple[Step, ...], dtype: DTypeLike, precision: PrecisionLike) -> Image:
    """Returns the output of a branch, whose units become submodules of the caller."""
    for step in branch:
        if isinstance(step, tuple):
            joined = [follow(x, (unit,), dtype, precision) for unit in step]
            x = jnp.concatenate(joined, axis=-1)
        elif isinstance(step, Unit):
            layer = nn.Conv(
                step.features,
                step.kernel,
                step.stride,
                step.padding,
                dtype=dtype,
                precision=precision,
                name=step.name,
            )
            x = nn.relu(layer(x))
        else:
            x = step(x)
    return x


class Block(nn.Module):
    """Parallel branches of the same input, concatenated along the channels."""

    branches: Branches
    dtype: DTypeLike
    precision: PrecisionLike

    @nn.compact
    def __call__(self, x: Image) -> Image:
        outputs = [follow(x, branch, self.dtype, self.precision) for branch in self.branches]
        return jnp.concatenate(outputs, axis=-1)


class Inception(nn.Module):
    """Inception-v3 with 1008 classes as published by TensorFlow on 2015-12-05, batch norm folded.

    Returns the spatial means of the blocks of "64", "192", "768" and "2048" channels, and from the
    last the "logits" and the "logits_unbiased", which the Inception Score uses. Under `jax.jit`,
    unused outputs cost nothing.

    Submodules are named as in pytorch-fid's file: Conv2d_1a_3x3, ..., Mixed_7c, fc (and its bias,
    fc_bias).

    Attributes:
      dtype: type of the computation; parameters and outputs are float32.
      precision: precision of every product.
    """

    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = "highest"

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch 299 299 3"]
    ) -> dict[str, Float[Array, "batch dimension"]]:
        options = self.dtype, self.precision
        features = {}
        for name, branch in STEM.items():
            x = follow(x, branch, *options)
            features[name] = _spatial_mean(x)
        for name, blocks in BLOCKS.items():
            for block, branches in blocks.items():
                x = Block(branches, *options, name=block)(x)
            features[name] = _spatial_mean(x)
        fc = nn.Dense(CLASSES, use_bias=False, precision=self.precision, name="fc")
        bias = self.param("fc_bias", nn.initializers.zeros, (CLASSES,), jnp.float32)
        features["logits_unbiased"] = fc(features["2048"])
        features["logits"] = features["logits_unbiased"] + bias[None]
        return features


def _spatial_mean(x: Image) -> Float[Array, "batch channels"]:
    return x.astype(jnp.float32).mean(axis=(1, 2))
