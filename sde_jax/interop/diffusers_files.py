"""Finds and reads the files of a folder of diffusers."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.settings_rules import read_settings
from sde_jax.interop.torch_file import read_torch_file
from sde_jax.reporting import report

NAME = "diffusion_pytorch_model"
INDEX = "weight_map"
"""The setting of an index that names the shard of each tensor."""


def network_folder(folder: Path) -> Path:
    """Returns the folder of the network in a pipeline: the averaged one, the other, or itself."""
    for name in ("unet_ema", "unet"):
        if (folder / name).is_dir():
            if name == "unet_ema":
                report(f"{folder}: its averaged weights are used, those of unet_ema")
            return folder / name
    return folder


def scheduler_file(folder: Path) -> Path:
    """Returns the path of the settings of the scheduler in a pipeline, or beside a network."""
    inner = folder / "scheduler"
    return (inner if inner.is_dir() else folder) / "scheduler_config.json"


def read_weights(folder: Path) -> tuple[Path, Mapping[str, np.ndarray]]:
    """Returns the file of weights in a folder, or the index of several, and all tensors.

    Raises:
      CheckpointFileError: if a file is damaged, or an index names one that is not there.
      OSError: if there is no file.
    """
    path = weights_file(folder)
    if path.suffix != ".json":
        return path, read_tensors(path)
    shards = read_settings(path).get(INDEX)
    names = {*shards.values()} if isinstance(shards, dict) else set()
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise CheckpointFileError(path, f"its `{INDEX}` does not name the file of each tensor")
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise CheckpointFileError(path, f"it names files that are missing: {', '.join(missing)}")
    tensors: dict[str, np.ndarray] = {}
    for name in sorted(names):
        tensors |= read_tensors(folder / name)
    return path, tensors


def weights_file(folder: Path) -> Path:
    """Returns the file of weights in a folder, or the index of several.

    Safetensors go before files of PyTorch, whole weights before those of a variant such as fp16,
    and one file before several. A line on stderr names a variant.
    """
    for kind in ("safetensors", "bin"):
        found: list[tuple[str, bool, Path]] = []
        for path in folder.iterdir():
            one = re.fullmatch(rf"{NAME}(?:\.(\w+))?\.{kind}", path.name)
            several = re.fullmatch(rf"{NAME}\.{kind}\.index(?:\.(\w+))?\.json", path.name)
            if match := one or several:
                found.append((match.group(1) or "", one is None, path))
        if found:
            variant, _, path = min(found)
            if variant:
                report(f"{folder} has no {NAME}.{kind}: its variant {variant} is used")
            return path
    return folder / f"{NAME}.safetensors"


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors in a file by their names."""
    if path.suffix == ".bin":
        tensors = read_torch_file(path)
        if not isinstance(tensors, dict):
            raise CheckpointFileError(path, "it holds no dict of weights")
        return tensors
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointFileError(path, f"the file is damaged: {error}") from error
