"""The name and layout of each parameter of a network in published files.

Modules are numbered, in PyTorch by their place in the list, in Flax and here by their place among
those of the same class. The layers inside modules, and those that are modules, correspond so:

===================  ===================  =========================  ===================
layer                PyTorch              Flax                       here
===================  ===================  =========================  ===================
convolution          weight [O, I, H, W]  kernel [H, W, I, O]        kernel [H, W, I, O]
with a filter        weight [O, I, H, W]  weight [H, W, I, O]        kernel [H, W, I, O]
of size 1            weight [O, I, 1, 1]  kernel [1, 1, I, O]        kernel [I, O]
Linear               weight [O, I]        kernel [I, O]              kernel [I, O]
NIN                  W [I, O], b          W [I, O], b                kernel [I, O], bias
GroupNorm            weight [C], bias     scale [C] or [1, 1, 1, C]  scale [C], bias
Fourier features     W [F]                W [F]                      W [F]
===================  ===================  =========================  ===================
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.interop.module_list import module_list, without_ignored
from sde_jax.interop.published_model import PublishedModel

__all__ = ["PublishedTensor", "layout_of"]

Path = tuple[str, ...]
Shape = tuple[int, ...]
Shapes = Mapping[str, Any]

FLAX_CLASSES = {"Linear": "Dense", "Conv2d": "Conv"}
OUR_CLASSES = {
    **FLAX_CLASSES,
    "GaussianFourierProjection": "GaussianFourierFeatures",
    "ResnetBlockBigGANpp": "ResidualBlock",
    "ResnetBlockDDPMpp": "ResidualBlock",
    "ResnetBlockDDPM": "ResidualBlock",
    "AttnBlockpp": "AttentionBlock",
    "AttnBlock": "AttentionBlock",
}
"""Our names of the classes whose names differ."""

RESIDUAL = {
    "GroupNorm_0": "GroupNorm_0",
    "Conv_0": "Conv_0",
    "Dense_0": "time",
    "GroupNorm_1": "GroupNorm_1",
    "Conv_1": "Conv_1",
}
ATTENTION = {
    "GroupNorm_0": "GroupNorm_0",
    "NIN_0": "query",
    "NIN_1": "key",
    "NIN_2": "value",
    "NIN_3": "output",
}
LAYERS = {
    "ResnetBlockBigGANpp": {**RESIDUAL, "Conv_2": "shortcut"},
    "ResnetBlockDDPMpp": {**RESIDUAL, "NIN_0": "shortcut"},
    "ResnetBlockDDPM": {**RESIDUAL, "NIN_0": "shortcut"},
    "AttnBlockpp": ATTENTION,
    "AttnBlock": ATTENTION,
    "Combine": {"Conv_0": "Dense_0"},
}
"""Our names of the layers of a class, in PyTorch's order."""


class Leaf(NamedTuple):
    """The three names of a layer's parameter, and PyTorch's axes in the order of Flax."""

    torch: str
    flax: str
    ours: str
    axes: tuple[int, ...] = (0,)


OIHW = (2, 3, 1, 0)
BIAS = Leaf("bias", "bias", "bias")
LEAVES = {
    "Conv": (Leaf("weight", "kernel", "kernel", OIHW), BIAS),
    "Conv2d": (Leaf("weight", "weight", "kernel", OIHW), BIAS),
    "Dense": (Leaf("weight", "kernel", "kernel", (1, 0)), BIAS),
    "NIN": (Leaf("W", "W", "kernel", (0, 1)), Leaf("b", "b", "bias")),
    "GroupNorm": (Leaf("weight", "scale", "scale"), BIAS),
    "GaussianFourierProjection": (Leaf("W", "W", "W"),),
}
"""The parameters of each kind of layer, in PyTorch's order."""


@dataclass(frozen=True)
class PublishedTensor:
    """One parameter of a published network."""

    torch_name: str
    """Its name in PyTorch, without the prefix `module.`."""
    flax_path: Path
    """Its path in Flax."""
    path: Path | None
    """Its path in our tree of parameters; None for an unused one of PyTorch."""
    shape: Shape
    """Its shape in our tree."""
    flax_shape: Shape
    """Its shape in Flax, for GroupNorm that of later versions."""
    axes: tuple[int, ...]
    """PyTorch's axes in the order of Flax."""

    @property
    def torch_shape(self) -> Shape:
        """Its shape in PyTorch."""
        return tuple(self.flax_shape[self.axes.index(axis)] for axis in range(len(self.axes)))

    @property
    def trainable(self) -> bool:
        """True if it is optimized, like all but the frequencies of Fourier features."""
        return self.flax_path[0] != "GaussianFourierProjection_0"

    @property
    def flax_shapes(self) -> tuple[Shape, ...]:
        """Its shapes in Flax files; early group normalization has more axes."""
        if "GroupNorm" in self.flax_path[-2]:
            return (self.flax_shape, (1, 1, 1, *self.flax_shape))
        return (self.flax_shape,)

    def from_torch(self, array: np.ndarray) -> np.ndarray:
        """Converts PyTorch's array to our layout."""
        return array.transpose(self.axes).reshape(self.shape)

    def from_flax(self, array: np.ndarray) -> np.ndarray:
        """Converts Flax's array to our layout."""
        return array.reshape(self.shape)

    def to_torch(self, array: np.ndarray) -> np.ndarray:
        """Converts our array to PyTorch's layout."""
        return array.reshape(self.flax_shape).transpose(np.argsort(self.axes))


def layout_of(model: PublishedModel) -> tuple[PublishedTensor, ...]:
    """Returns the parameters of a model in the order of PyTorch's ``parameters()``."""
    network = model.network_spec.build()
    images = jax.ShapeDtypeStruct((1, *model.image_shape), jnp.float32)
    time = jax.ShapeDtypeStruct((1,), jnp.float32)
    params = jax.eval_shape(network.init, jax.random.key(0), images, time)["params"]
    shapes = jax.tree.map(lambda leaf: leaf.shape, params)
    return tuple(_tensors(without_ignored(model), shapes))


def _tensors(model: PublishedModel, shapes: Shapes) -> Iterator[PublishedTensor]:
    place, flax_counts, our_counts = 0, Counter[str](), Counter[str]()
    for kind, listed, has_parameters in module_list(model):
        flax = numbered(flax_counts, FLAX_CLASSES.get(kind, kind))
        if has_parameters:
            ours = numbered(our_counts, OUR_CLASSES.get(kind, kind))
            paths = (f"all_modules.{place}",), (flax,), (ours,)
            yield from _module_tensors(model, kind, *paths, shapes[ours])
        place += listed


def _module_tensors(
    model: PublishedModel, kind: str, torch: Path, flax: Path, ours: Path, shapes: Shapes
) -> Iterator[PublishedTensor]:
    if kind in ("Downsample", "Upsample"):
        layers = {"Conv2d_0" if model.fir else "Conv_0": "Conv_0"}
    elif kind in LAYERS:
        layers = LAYERS[kind]
    else:
        yield from _layer_tensors(torch, flax, ours, shapes)
        return
    for layer, own in layers.items():
        paths = (*torch, layer), (*flax, layer)
        if own in shapes:
            yield from _layer_tensors(*paths, (*ours, own), shapes[own])
        elif own == "time" and model.name == "ncsnpp":
            width = shapes["Conv_0"]["bias"]
            unused = {"kernel": (4 * model.nf, *width), "bias": width}
            yield from _layer_tensors(*paths, None, unused)


def _layer_tensors(
    torch: Path, flax: Path, ours: Path | None, shapes: Shapes
) -> Iterator[PublishedTensor]:
    for leaf in LEAVES[flax[-1].rpartition("_")[0]]:
        shape = shapes[leaf.ours]
        yield PublishedTensor(
            torch_name=".".join([*torch, leaf.torch]),
            flax_path=(*flax, leaf.flax),
            path=None if ours is None else (*ours, leaf.ours),
            shape=shape,
            flax_shape=(1, 1, *shape) if leaf.axes == OIHW and len(shape) == 2 else shape,
            axes=leaf.axes,
        )


def numbered(counts: Counter[str], name: str) -> str:
    """Returns the name of the next module of a class."""
    counts[name] += 1
    return f"{name}_{counts[name] - 1}"
