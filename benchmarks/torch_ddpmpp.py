"""DDPM++ in PyTorch with our weights: the peer of `NCSNpp`.

The layers of each class form one list in our order, so that our ResidualBlock_3 is
``ResidualBlock.3`` here. Images are ``[batch, channels, height, width]``.
"""

import math
import re
from typing import Any

import jax
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sde_jax.arrays import PyTree
from sde_jax.nets import NCSNppSpec


def group_norm(channels: int) -> nn.GroupNorm:
    """Builds a group normalization with a quarter of the channels as groups, at most 32."""
    return nn.GroupNorm(min(channels // 4, 32), channels, eps=1e-6)


def halved(x: Tensor) -> Tensor:
    """Averages two by two pixels."""
    return F.avg_pool2d(x, 2)


def doubled(x: Tensor) -> Tensor:
    """Repeats every pixel two by two times."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


class ResidualBlock(nn.Module):
    """Two convolutions with the time embedding added between them, and optional resampling."""

    def __init__(
        self, width: int, features: int, embedding: int, dropout: float, resample: Any = None
    ) -> None:
        super().__init__()
        self.resample = resample
        self.dropout = nn.Dropout(dropout)
        self.GroupNorm_0 = group_norm(width)
        self.Conv_0 = nn.Conv2d(width, features, 3, padding=1)
        self.time = nn.Linear(embedding, features)
        self.GroupNorm_1 = group_norm(features)
        self.Conv_1 = nn.Conv2d(features, features, 3, padding=1)
        changes = resample is not None or width != features
        self.shortcut = nn.Conv2d(width, features, 1) if changes else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = F.silu(self.GroupNorm_0(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.Conv_0(h) + self.time(embedding)[:, :, None, None]
        h = self.Conv_1(self.dropout(F.silu(self.GroupNorm_1(h))))
        return (self.shortcut(x) + h) / math.sqrt(2)


class AttentionBlock(nn.Module):
    """Self-attention over all pixels, with one head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.GroupNorm_0 = group_norm(width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.GroupNorm_0(x).flatten(2).transpose(1, 2)[:, None]
        h = F.scaled_dot_product_attention(self.query(h), self.key(h), self.value(h))
        h = self.output(h[:, 0]).transpose(1, 2).unflatten(2, x.shape[2:])
        return (x + h) / math.sqrt(2)


class TorchDDPMpp(nn.Module):
    """The network of a spec that differs from the default only in sizes and dropout.

    Raises:
      ValueError: if the spec differs in another field.
    """

    def __init__(self, spec: NCSNppSpec, size: int, channels: int) -> None:
        super().__init__()
        sizes = ("channels", "multipliers", "blocks_per_level", "attention_resolutions", "dropout")
        plain = NCSNppSpec(**{name: getattr(spec, name) for name in sizes})
        if spec != plain:
            raise ValueError(
                f"the spec must be DDPM++'s except for {', '.join(sizes)}: got {spec}."
            )
        self.spec, self.size = spec, size
        self.Dense = nn.ModuleList(
            [nn.Linear(inputs * spec.channels, 4 * spec.channels) for inputs in (1, 4)]
        )
        self.Conv = nn.ModuleList([nn.Conv2d(channels, spec.channels, 3, padding=1)])
        self.ResidualBlock = nn.ModuleList()
        self.AttentionBlock = nn.ModuleList()
        width = self._build(spec)
        self.GroupNorm = nn.ModuleList([group_norm(width)])
        self.Conv.append(nn.Conv2d(width, channels, 3, padding=1))

    def _build(self, spec: NCSNppSpec) -> int:
        """Adds all blocks, in the order of the calls; returns the last width."""
        width, skips = spec.channels, [spec.channels]
        for level, features in enumerate(spec.widths):
            if level > 0:
                width = self._add(width, width, halved)
                skips.append(width)
            for _ in range(spec.blocks_per_level):
                width = self._add(width, features)
                self._add_attention(width, level)
                skips.append(width)
        self._add(width, width)
        self.AttentionBlock.append(AttentionBlock(width))
        self._add(width, width)
        for level, features in reversed(list(enumerate(spec.widths))):
            for _ in range(spec.blocks_per_level + 1):
                width = self._add(width + skips.pop(), features)
            self._add_attention(width, level)
            if level > 0:
                width = self._add(width, width, doubled)
        return width

    def _add(self, width: int, features: int, resample: Any = None) -> int:
        embedding, dropout = 4 * self.spec.channels, self.spec.dropout
        self.ResidualBlock.append(ResidualBlock(width, features, embedding, dropout, resample))
        return features

    def _attends(self, level: int) -> bool:
        return self.size >> level in self.spec.attention_resolutions

    def _add_attention(self, width: int, level: int) -> None:
        if self._attends(level):
            self.AttentionBlock.append(AttentionBlock(width))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        spec, blocks, attentions = self.spec, iter(self.ResidualBlock), iter(self.AttentionBlock)
        embedding = self.Dense[1](F.silu(self.Dense[0](positional(time, spec.channels))))
        embedding = F.silu(embedding)
        skips = [self.Conv[0](x)]
        for level in range(len(spec.multipliers)):
            if level > 0:
                skips.append(next(blocks)(skips[-1], embedding))
            for _ in range(spec.blocks_per_level):
                h = next(blocks)(skips[-1], embedding)
                skips.append(next(attentions)(h) if self._attends(level) else h)
        h = next(attentions)(next(blocks)(skips[-1], embedding))
        h = next(blocks)(h, embedding)
        for level in reversed(range(len(spec.multipliers))):
            for _ in range(spec.blocks_per_level + 1):
                h = next(blocks)(torch.cat([h, skips.pop()], dim=1), embedding)
            if self._attends(level):
                h = next(attentions)(h)
            if level > 0:
                h = next(blocks)(h, embedding)
        return self.Conv[1](F.silu(self.GroupNorm[0](h)))


def positional(time: Tensor, width: int) -> Tensor:
    """Returns sines, then cosines, of frequencies from 1 to 1e-4."""
    half = width // 2
    exponents = torch.arange(half, device=time.device, dtype=torch.float32) / (half - 1)
    angle = time[:, None] * torch.exp(-math.log(10_000.0) * exponents)[None]
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=1)


def weights_of(params: PyTree, network: TorchDDPMpp) -> dict[str, Tensor]:
    """Converts our parameters to a state dict of the network."""
    state, expected = {}, network.state_dict()
    for path, leaf in jax.tree.leaves_with_path(params):
        *modules, kind = (entry.key for entry in path)
        modules[0] = re.sub(r"_(\d+)$", r".\1", modules[0])
        name = ".".join([*modules, "bias" if kind == "bias" else "weight"])
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[leaf.ndim]
        array = np.array(np.asarray(leaf).transpose(axes), order="C")
        state[name] = torch.from_numpy(array.reshape(expected[name].shape))
    return state
