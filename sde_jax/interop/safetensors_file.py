"""Reads and writes weights as safetensors, with their configuration."""

import json
import os
import re
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sde_jax.arrays import PyTree
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.json_files import parse_json


def write_safetensors(
    path: str | PathLike[str], params: PyTree, configuration: Mapping[str, Any]
) -> None:
    """Writes parameters under their paths, such as ``Conv_0.kernel``.

    Args:
      path: the file.
      params: nested dicts of arrays.
      configuration: the settings of the model, for JSON; stored as ``configuration`` in the
        metadata.
    """
    named = flatten_dict(params, sep=".")
    arrays = {name: np.asarray(value, order="C") for name, value in named.items()}
    metadata = {"format": "sde_jax", "configuration": json.dumps(configuration)}
    try:
        save_file(arrays, fspath(path), metadata)
    except SafetensorError as error:
        # It has the number of the system's error in its text alone.
        if found := re.search(r"os error (\d+)", str(error)):
            number = int(found[1])
            raise OSError(number, os.strerror(number), fspath(path)) from None
        raise


def read_safetensors(path: str | PathLike[str]) -> tuple[PyTree, dict[str, Any]]:
    """Returns parameters and configuration that `write_safetensors` wrote.

    Raises:
      CheckpointFileError: if the file is damaged or was not written by `write_safetensors`.
      OSError: if the file does not exist.
    """
    try:
        with safe_open(Path(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            params = unflatten_dict({n: file.get_tensor(n) for n in file.keys()}, sep=".")  # noqa: SIM118
        configuration = parse_json(metadata["configuration"])
    except SafetensorError as error:
        raise CheckpointFileError(path, f"it is no file of safetensors: {error}") from error
    except (LookupError, ValueError, AttributeError) as error:
        raise CheckpointFileError(
            path, f"it was not written with a `configuration`: {error!r}"
        ) from error
    return params, configuration
