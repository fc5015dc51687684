"""Networks of Hugging Face diffusers, a `UNet2DModel` in a folder, as scores.

`modules` has the names of its layers, to which ``.weight`` or ``.bias`` is added.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from sde_jax.interop.diffusers_files import network_folder, read_weights, scheduler_file
from sde_jax.interop.diffusers_network import (
    Settings,
    has_skips,
    image_size,
    network_spec,
    read_network_settings,
)
from sde_jax.interop.diffusers_scheduler import read_score_model
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.gathering import (
    OIHW,
    Shape,
    Slot,
    TreePath,
    gather,
    torch_slot,
    without_prefix,
)
from sde_jax.interop.modules import UNetSpec, modules, parameter_shapes
from sde_jax.score import NetworkScore

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

FORMER = {**INNER["AttentionBlock"], "proj_attn": "to_out.0"}
"""Former and current names in diffusers of the layers of attention."""


def load_diffusers(folder: str | PathLike[str]) -> NetworkScore:
    """Loads the score in a folder of diffusers: a pipeline such as `DDPMPipeline`, or a network.

    The folder, or its folder ``unet_ema`` or ``unet``, contains ``config.json`` and
    ``diffusion_pytorch_model.safetensors`` (or ``.bin``) of a `UNet2DModel`, whole, as a variant or
    in shards. Averaged weights, of ``unet_ema``, go before others. The folder, or its folder
    ``scheduler``, may contain ``scheduler_config.json``. The network is DDPM, with the blocks
    DownBlock2D, AttnDownBlock2D and their opposites, or NCSN++, with SkipDownBlock2D and
    AttnSkipDownBlock2D.

    DDPM gets the chain of its scheduler, of any kind that states its betas: its N betas are those
    of VP divided by N, and step i is at ``t = i / (N - 1)``. NCSN++ gets VE. Settings that the
    scheduler lacks have the defaults of diffusers: betas from 1e-4 to 0.02 in 1000 steps, sigmas
    from 0.01 to 1348. A network with classes takes the label from the score's ``condition``.

    Raises:
      CheckpointFileError: if a setting is not supported, the weights do not fit the network, or a
        file is damaged. It lists each missing or unexpected tensor and each wrong shape.
      OSError: if a file does not exist.
    """
    folder = Path(folder)
    of_network = network_folder(folder)
    config = of_network / "config.json"
    settings = read_network_settings(config)
    try:
        spec = network_spec(settings)
        places = slots(spec, settings)
    except ValueError as error:
        raise CheckpointFileError(config, str(error)) from error
    model = read_score_model(
        scheduler_file(folder), spec.build(), takes_noise_level=has_skips(settings)
    )
    path, tensors = read_weights(of_network)
    problems: list[str] = []
    tensors = without_prefix(current_names(tensors), places)
    params = gather("it", tensors, places, problems)
    if problems:
        raise CheckpointFileError(path, problems)
    if settings["flip_sin_to_cos"] and not has_skips(settings):
        kernel = params["Dense_0"]["kernel"]
        params["Dense_0"]["kernel"] = np.roll(kernel, len(kernel) // 2, axis=0)
    return NetworkScore(jax.tree.map(jnp.asarray, params), model)


def current_names(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tensors by the current names of their layers."""
    return {
        ".".join(FORMER.get(part, part) for part in str(name).split(".")): tensor
        for name, tensor in tensors.items()
    }


def slots(spec: UNetSpec, settings: Settings) -> dict[str, Slot]:
    """Returns the place of each tensor in our parameters."""
    size = image_size(settings)
    names = {module.path: module.name for module in modules(spec, size) if module.parameters}
    shapes = flatten_dict(parameter_shapes(spec.build(), (size, size, settings["in_channels"])))
    return {
        tensor_name(path, names): torch_slot(path, shape, torch_axes(path, shape))
        for path, shape in shapes.items()
    }


def tensor_name(path: TreePath, names: Mapping[str, str]) -> str:
    """Returns the name in diffusers of the parameter at ``path``."""
    module, *inner, leaf = path
    kind = module.rpartition("_")[0]
    parts = [names[module], *(INNER[kind][layer] for layer in inner)]
    parts.append("bias" if leaf == "bias" else "weight")
    return ".".join(part for part in parts if part)


def torch_axes(path: TreePath, shape: Shape) -> tuple[int, ...]:
    """Returns the axes of a tensor of PyTorch in our order."""
    if path[-1] != "kernel":
        return tuple(range(len(shape)))
    is_1x1_convolution = path[-2] == "shortcut" or path[0].startswith("Combine")
    return OIHW if is_1x1_convolution or len(shape) == 4 else (1, 0)
