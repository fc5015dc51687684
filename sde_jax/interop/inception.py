"""Reads the published weights of Inception, which are converted once and cached.

pytorch-fid's `pt_inception-2015-12-05-6726825d.pth` and torch-fidelity's
`weights-inception-2015-12-05-6726825d.pth` are the same file.
"""

import hashlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from sde_jax.arrays import PyTree
from sde_jax.cache_folder import cache_folder
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.gathering import OIHW, Shape, TreePath, gather, torch_slot
from sde_jax.interop.safetensors_file import read_safetensors, write_safetensors
from sde_jax.interop.torch_file import read_torch_file
from sde_jax.metrics.inception import Inception

PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""SHA-256 of the published file of Inception weights."""

PUBLISHED_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
"""Address of the published file of Inception weights."""

VARIANCE_OFFSET = 1e-3
"""Added to the variance of every normalization."""

NORMALIZATION = ("weight", "bias", "running_mean", "running_var")
COUNTER = "num_batches_tracked"
"""An unused entry of each normalization in some files."""

HOW_TO_GET = (
    "`sde-jax weights inception --from FILE` makes it of pytorch-fid's or "
    "torch-fidelity's file of weights, and with --download instead fetches that"
)


def cached_inception() -> Path:
    """Returns the path of the converted weights in the cache."""
    return cache_folder() / "inception-2015-12-05.safetensors"


def load_inception(path: str | PathLike[str] | None = None) -> PyTree:
    """Loads the parameters of `Inception` that `save_inception` wrote, by default to the cache.

    Raises:
      CheckpointFileError: if the file is missing or damaged; the message says how to get it.
    """
    path = cached_inception() if path is None else Path(path)
    if not path.is_file():
        raise CheckpointFileError(path, f"there are no Inception weights: {HOW_TO_GET}")
    params, configuration = read_safetensors(path)
    if _shapes(params) != _expected() or configuration.get("sha256") != weights_sha256(params):
        raise CheckpointFileError(path, f"these are not whole Inception weights: {HOW_TO_GET}")
    return params


def save_inception(path: str | PathLike[str], params: PyTree) -> None:
    """Writes the parameters of `Inception` with the hash that `load_inception` checks."""
    configuration = {"network": "inception-2015-12-05", "sha256": weights_sha256(params)}
    write_safetensors(path, params, configuration)


def weights_sha256(params: PyTree) -> str:
    """Returns the SHA-256 of all parameters in the order of their names, a key of statistics."""
    digest = hashlib.sha256()
    for names, value in sorted(flatten_dict(params).items(), key=lambda leaf: leaf[0]):
        array = np.asarray(value)
        digest.update(f"{'.'.join(names)} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def read_published_inception(path: str | PathLike[str], sha256: str = PUBLISHED_SHA256) -> PyTree:
    """Returns the parameters of `Inception` in a published file without executing the file.

    Args:
      path: the file.
      sha256: its hash.

    Raises:
      CheckpointFileError: if the hash differs, the file cannot be read, or tensors do not fit.
      OSError: if the file does not exist.
    """
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        problem = f"it is not the published file: its SHA-256 is {found}, not {sha256}"
        raise CheckpointFileError(path, problem)
    problems: list[str] = []
    params = inception_params(read_torch_file(path), problems)
    if problems:
        raise CheckpointFileError(path, problems)
    return params


def inception_params(content: Any, problems: list[str]) -> PyTree:
    """Converts the named tensors of PyTorch to the parameters of `Inception`.

    Each normalization ``(x - mean) / sqrt(variance + 0.001) * weight + bias`` is folded into the
    convolution before it, in float64. Mismatches are added to ``problems``.
    """
    if not isinstance(content, Mapping):
        problems.append("it is no dict of tensors")
        return {}
    expected = _expected()
    units = [path[:-1] for path in expected if path[-1] == "bias"]
    slots = {
        "fc.weight": torch_slot(("fc", "kernel"), expected["fc", "kernel"], (1, 0)),
        "fc.bias": torch_slot(("fc_bias",), expected["fc_bias",], (0,)),
    }
    for unit in units:
        shape, name = expected[*unit, "kernel"], ".".join(unit)
        slots[f"{name}.conv.weight"] = torch_slot((*unit, "conv"), shape, OIHW)
        for part in NORMALIZATION:
            slots[f"{name}.bn.{part}"] = torch_slot((*unit, part), shape[-1:], (0,))
    used = {str(key): value for key, value in content.items() if not str(key).endswith(COUNTER)}
    tensors = flatten_dict(gather("the file", used, slots, problems))
    if problems:
        return {}
    for unit in units:
        kernel, weight, bias, mean, variance = (
            tensors.pop((*unit, name)).astype(np.float64) for name in ("conv", *NORMALIZATION)
        )
        factor = weight / np.sqrt(variance + VARIANCE_OFFSET)
        tensors[*unit, "kernel"] = np.ascontiguousarray(kernel * factor, np.float32)
        tensors[*unit, "bias"] = np.ascontiguousarray(bias - mean * factor, np.float32)
    return unflatten_dict(tensors)


def _expected() -> dict[TreePath, Shape]:
    """Returns the shape of each parameter."""
    image = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
    params = jax.eval_shape(Inception().init, jax.random.key(0), image)["params"]
    return _shapes(params)


def _shapes(params: PyTree) -> dict[TreePath, Shape]:
    return {path: leaf.shape for path, leaf in flatten_dict(params).items()}
