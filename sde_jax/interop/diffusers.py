"""Networks of Hugging Face diffusers, a `UNet2DModel` in a folder, as scores.

The names of its layers, to which ``.weight`` or ``.bias`` is added, in the order of the calls::

    time_proj (NCSN++), time_embedding.linear_1, linear_2, class_embedding, conv_in
    down_blocks.<level>   resnets.<k>, attentions.<k>, downsamplers.0 (DDPM)
                          resnet_down, skip_conv (NCSN++)
    mid_block             resnets.0, attentions.0, resnets.1
    up_blocks.<k>         resnets.<k>, attentions.<k> (DDPM) or attentions.0, upsamplers.0 (DDPM)
                          skip_norm, skip_conv, resnet_up (NCSN++)
    conv_norm_out, conv_out
"""

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sde_jax.interop.diffusers_network import (
    Settings,
    attending_levels,
    has_skips,
    image_size,
    network_spec,
    read_network_settings,
)
from sde_jax.interop.diffusers_scheduler import read_score_model
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.gathering import Slot, flatten, gather
from sde_jax.interop.torch_file import read_torch_file
from sde_jax.score import NetworkScore

__all__ = ["load_diffusers"]

INNER = {
    "ResidualBlock": {
        "GroupNorm_0": "norm1",
        "Conv_0": "conv1",
        "time": "time_emb_proj",
        "GroupNorm_1": "norm2",
        "Conv_1": "conv2",
        "shortcut": "conv_shortcut",
    },
    "AttentionBlock": {
        "GroupNorm_0": "group_norm",
        "query": "to_q",
        "key": "to_k",
        "value": "to_v",
        "output": "to_out.0",
    },
    "Downsample": {"Conv_0": "conv"},
    "Upsample": {"Conv_0": "conv"},
    "Combine": {"Dense_0": ""},
}
"""Names in diffusers of the layers inside our modules."""

FORMER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Former and current names in diffusers of the layers of attention."""


def load_diffusers(folder: str | PathLike[str]) -> NetworkScore:
    """Loads the score in a folder of diffusers: a pipeline such as `DDPMPipeline`, or a network.

    The folder, or its folder ``unet``, contains ``config.json`` and
    ``diffusion_pytorch_model.safetensors`` (or ``.bin``) of a `UNet2DModel`. The folder, or its
    folder ``scheduler``, may contain ``scheduler_config.json``. The network is DDPM, with the
    blocks DownBlock2D, AttnDownBlock2D and their opposites, or NCSN++, with SkipDownBlock2D and
    AttnSkipDownBlock2D.

    DDPM gets the chain of its scheduler: its N betas are those of VP divided by N, and step i is at
    ``t = i / (N - 1)``. NCSN++ gets VE. Settings that the scheduler lacks have the defaults of
    diffusers: betas from 1e-4 to 0.02 in 1000 steps, sigmas from 0.01 to 1348. A network with
    classes takes the label from the score's ``condition``.

    Raises:
      CheckpointFileError: if a setting is not supported, the weights do not fit the network, or a
        file is damaged. It lists each missing or unexpected tensor and each wrong shape.
      OSError: if a file does not exist.
    """
    folder = Path(folder)
    of_network, of_scheduler = (
        folder / name if (folder / name).is_dir() else folder for name in ("unet", "scheduler")
    )
    settings = read_network_settings(of_network / "config.json")
    network = network_spec(settings).build()
    model = read_score_model(
        of_scheduler / "scheduler_config.json", network, takes_noise_level=has_skips(settings)
    )
    path, tensors = read_tensors(of_network)
    problems: list[str] = []
    params = gather("it", tensors, slots(network, settings), problems)
    if problems:
        raise CheckpointFileError(path, problems)
    return NetworkScore(jax.tree.map(jnp.asarray, params), model)


def read_tensors(folder: Path) -> tuple[Path, Mapping[str, np.ndarray]]:
    """Returns the file of weights and its tensors by their current names."""
    path = folder / "diffusion_pytorch_model.safetensors"
    if not path.exists() and path.with_suffix(".bin").exists():
        path = path.with_suffix(".bin")
        tensors = read_torch_file(path)
        if not isinstance(tensors, dict):
            raise CheckpointFileError(path, "it holds no dict of weights")
    else:
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise CheckpointFileError(path, f"the file is damaged: {error}") from error
    return path, {
        ".".join(FORMER.get(part, part) for part in name.split(".")): tensor
        for name, tensor in tensors.items()
    }


def slots(network: nn.Module, settings: Settings) -> dict[str, Slot]:
    """Returns the place of each tensor in our parameters."""
    size, names = image_size(settings), layer_names(settings)
    x = jax.ShapeDtypeStruct((1, size, size, settings["in_channels"]), jnp.float32)
    time = jax.ShapeDtypeStruct((1,), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), x, time)["params"]
    cosines_first = settings["flip_sin_to_cos"] and not has_skips(settings)

    def convert(path: tuple[str, ...], tensor: np.ndarray) -> np.ndarray:
        if path[-1] != "kernel":
            return tensor
        kernel = our_layout(path, tensor)
        swapped = cosines_first and path[0] == "Dense_0"
        return np.roll(kernel, len(kernel) // 2, axis=0) if swapped else kernel

    return {
        tensor_name(path, names): Slot(
            path, (torch_shape(path, leaf.shape),), functools.partial(convert, path)
        )
        for path, leaf in flatten(shapes)
    }


def tensor_name(path: tuple[str, ...], names: Mapping[str, str]) -> str:
    """Returns the name in diffusers of the parameter at ``path``."""
    module, *inner, leaf = path
    kind = module.rpartition("_")[0]
    parts = [names[module], *(INNER[kind][layer] for layer in inner)]
    parts.append("bias" if leaf == "bias" else "weight")
    return ".".join(part for part in parts if part)


def torch_shape(path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape in PyTorch of our parameter of ``shape`` at ``path``."""
    if path[-1] != "kernel":
        return shape
    *window, inputs, outputs = shape
    return (outputs, inputs, *([1, 1] if is_1x1_convolution(path) else window))


def our_layout(path: tuple[str, ...], kernel: np.ndarray) -> np.ndarray:
    """Converts a kernel of PyTorch to the layout of the one at ``path``."""
    kernel = kernel[:, :, 0, 0] if is_1x1_convolution(path) else kernel
    return np.moveaxis(kernel, (0, 1), (-1, -2))


def is_1x1_convolution(path: tuple[str, ...]) -> bool:
    """Returns whether the product over channels at ``path`` is a convolution in diffusers."""
    return path[-2] == "shortcut" or path[0].startswith("Combine")


def layer_names(settings: Settings) -> dict[str, str]:
    """Returns the names in diffusers of our modules; the k-th of a kind is ``<kind>_k``."""
    names, counts = {}, Counter[str]()
    for kind, name in layers(settings):
        names[f"{kind}_{counts[kind]}"] = name
        counts[kind] += 1
    return names


def layers(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yields our kind and the name in diffusers of each layer in the order of calls."""
    if has_skips(settings):
        yield "GaussianFourierFeatures", "time_proj"
    yield "Dense", "time_embedding.linear_1"
    yield "Dense", "time_embedding.linear_2"
    yield "LabelEmbedding", "class_embedding"
    yield "Conv", "conv_in"
    yield from layers_down(settings)
    yield "ResidualBlock", "mid_block.resnets.0"
    yield "AttentionBlock", "mid_block.attentions.0"
    yield "ResidualBlock", "mid_block.resnets.1"
    yield from layers_up(settings)
    yield "GroupNorm", "conv_norm_out"
    yield "Conv", "conv_out"


def layers_down(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yields the layers of the levels on the way down."""
    attends, skips = attending_levels(settings), has_skips(settings)
    for level, attending in enumerate(attends):
        name = f"down_blocks.{level}"
        for block in range(settings["layers_per_block"]):
            yield "ResidualBlock", f"{name}.resnets.{block}"
            if attending:
                yield "AttentionBlock", f"{name}.attentions.{block}"
        if level == len(attends) - 1:
            return
        if skips:
            yield "ResidualBlock", f"{name}.resnet_down"
            yield "Combine", f"{name}.skip_conv"
        else:
            yield "Downsample", f"{name}.downsamplers.0"


def layers_up(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yields the layers of the levels on the way up."""
    attends, skips = attending_levels(settings), has_skips(settings)
    for index, attending in enumerate(reversed(attends)):
        name = f"up_blocks.{index}"
        for block in range(settings["layers_per_block"] + 1):
            yield "ResidualBlock", f"{name}.resnets.{block}"
            if attending and not skips:
                yield "AttentionBlock", f"{name}.attentions.{block}"
        if attending and skips:
            yield "AttentionBlock", f"{name}.attentions.0"
        if index == len(attends) - 1:
            return
        if skips:
            yield "GroupNorm", f"{name}.skip_norm"
            yield "Conv", f"{name}.skip_conv"
            yield "ResidualBlock", f"{name}.resnet_up"
        else:
            yield "Upsample", f"{name}.upsamplers.0"
