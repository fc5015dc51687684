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

import numpy as np

from sde_jax.interop.gathering import OIHW, Shape, Slot, TreePath, padded, torch_slot
from sde_jax.interop.modules import Module, UNetSpec, modules, parameter_shapes
from sde_jax.interop.published_model import PublishedModel
from sde_jax.nets.ncsnpp import NCSNppSpec

FLAX_CLASSES = {"Linear": "Dense", "Conv2d": "Conv"}
"""Flax's classes with other names than PyTorch's."""

RESIDUAL = {
    "GroupNorm_0": "GroupNorm_0",
    "Conv_0": "Conv_0",
    "time": "Dense_0",
    "GroupNorm_1": "GroupNorm_1",
    "Conv_1": "Conv_1",
    "shortcut": "NIN_0",
}
ATTENTION = {
    "GroupNorm_0": "GroupNorm_0",
    "query": "NIN_0",
    "key": "NIN_1",
    "value": "NIN_2",
    "output": "NIN_3",
}


class Leaf(NamedTuple):
    """The names of a layer's parameter, and PyTorch's axes in the order of Flax."""

    torch: str
    flax: str
    axes: tuple[int, ...] = (0,)


BIAS = {"bias": Leaf("bias", "bias")}
LEAVES: dict[str, dict[str, Leaf]] = {
    "Conv": {"kernel": Leaf("weight", "kernel", OIHW), **BIAS},
    "Conv2d": {"kernel": Leaf("weight", "weight", OIHW), **BIAS},
    "Dense": {"kernel": Leaf("weight", "kernel", (1, 0)), **BIAS},
    "NIN": {"kernel": Leaf("W", "W", (0, 1)), "bias": Leaf("b", "b")},
    "GroupNorm": {"scale": Leaf("weight", "scale"), **BIAS},
    "GaussianFourierProjection": {"W": Leaf("W", "W")},
}
"""The parameters of each kind of layer by our names, in PyTorch's order."""


@dataclass(frozen=True)
class PublishedTensor:
    """One parameter of a published network."""

    torch_name: str
    """Its name in PyTorch, without the prefix `module.`."""
    flax_path: TreePath
    """Its path in Flax."""
    path: TreePath | None
    """Its path in our tree of parameters; None for an unused one of PyTorch."""
    shape: Shape
    """Its shape in our tree."""
    axes: tuple[int, ...]
    """PyTorch's axes in the order of Flax."""

    @property
    def trainable(self) -> bool:
        """True if it is optimized, like all but the frequencies of Fourier features."""
        return self.flax_path[0] != "GaussianFourierProjection_0"

    @property
    def torch_slot(self) -> Slot:
        """The slot of its array in PyTorch."""
        return torch_slot(self.path, self.shape, self.axes)

    @property
    def torch_shape(self) -> Shape:
        """Its shape in PyTorch."""
        return self.torch_slot.shapes[0]

    @property
    def flax_shape(self) -> Shape:
        """Its shape in Flax, for GroupNorm that of later versions."""
        return padded(self.shape, self.axes)

    @property
    def flax_slot(self) -> Slot:
        """The slot of its array in Flax; early group normalization has more axes."""
        early = ((1, 1, 1, *self.shape),) if "GroupNorm" in self.flax_path[-2] else ()
        return Slot(self.path, (self.flax_shape, *early), lambda array: array.reshape(self.shape))

    def to_torch(self, params: Mapping[TreePath, np.ndarray]) -> np.ndarray:
        """Returns its array in PyTorch's layout, of zeros for an unused one."""
        if self.path is None:
            return np.zeros(self.torch_shape, np.float32)
        array = np.asarray(params[self.path], np.float32)
        return array.reshape(self.flax_shape).transpose(np.argsort(self.axes))


def layout_of(model: PublishedModel) -> tuple[PublishedTensor, ...]:
    """Returns the parameters of a model in the order of PyTorch's ``parameters()``."""
    spec, classes = model.network_spec, published_classes(model.network_spec)
    shapes = parameter_shapes(spec.build(), model.image_shape)
    tensors: list[PublishedTensor] = []
    place, flax_counts = 0, Counter[str]()
    for module in modules(spec, model.image_size):
        kind = classes.get(module.kind, module.kind)
        flax = FLAX_CLASSES.get(kind, kind)
        if module.parameters:
            torch_and_flax = (f"all_modules.{place}",), (f"{flax}_{flax_counts[flax]}",)
            tensors.extend(_module_tensors(spec, module, *torch_and_flax, shapes[module.path]))
        flax_counts[flax] += 1
        place += module.listed
    return tuple(tensors)


def published_classes(spec: UNetSpec) -> dict[str, str]:
    """Returns PyTorch's classes of modules by ours, where the names differ."""
    residual, attention = "ResnetBlockDDPM", "AttnBlock"
    if isinstance(spec, NCSNppSpec):
        residual = "ResnetBlockBigGANpp" if spec.block == "biggan" else "ResnetBlockDDPMpp"
        attention = "AttnBlockpp"
    return {
        "GaussianFourierFeatures": "GaussianFourierProjection",
        "Dense": "Linear",
        "Conv": "Conv2d",
        "ResidualBlock": residual,
        "AttentionBlock": attention,
    }


def _layers(spec: UNetSpec, kind: str) -> dict[str, str]:
    """Returns the published names of the layers in our class by ours, in PyTorch's order."""
    match kind:
        case "ResidualBlock":
            biggan = isinstance(spec, NCSNppSpec) and spec.block == "biggan"
            return RESIDUAL | ({"shortcut": "Conv_2"} if biggan else {})
        case "AttentionBlock":
            return ATTENTION
        case "Combine":
            return {"Dense_0": "Conv_0"}
        case "Downsample" | "Upsample":
            filtered = isinstance(spec, NCSNppSpec) and spec.resampling_filter is not None
            return {"Conv_0": "Conv2d_0" if filtered else "Conv_0"}
    return {}


def _module_tensors(
    spec: UNetSpec, module: Module, torch: TreePath, flax: TreePath, shapes: Mapping[str, Any]
) -> Iterator[PublishedTensor]:
    layers = _layers(spec, module.kind)
    if not layers:
        yield from _layer_tensors(torch, flax, (module.path,), shapes)
    for own, layer in layers.items():
        paths = (*torch, layer), (*flax, layer)
        if own in shapes:
            yield from _layer_tensors(*paths, (module.path, own), shapes[own])
        elif own == "time" and isinstance(spec, NCSNppSpec):
            width = shapes["Conv_0"]["bias"]
            unused = {"kernel": (4 * spec.channels, *width), "bias": width}
            yield from _layer_tensors(*paths, None, unused)


def _layer_tensors(
    torch: TreePath, flax: TreePath, ours: TreePath | None, shapes: Mapping[str, Shape]
) -> Iterator[PublishedTensor]:
    for leaf, names in LEAVES[flax[-1].rpartition("_")[0]].items():
        yield PublishedTensor(
            torch_name=".".join([*torch, names.torch]),
            flax_path=(*flax, names.flax),
            path=None if ours is None else (*ours, leaf),
            shape=shapes[leaf],
            axes=names.axes,
        )
