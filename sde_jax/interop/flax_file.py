"""Reads the files of `flax.training.checkpoints` (2020 to 2022): one msgpack object."""

from os import PathLike
from pathlib import Path
from typing import Any

from flax import serialization

from sde_jax.interop.errors import CheckpointFileError

__all__ = ["read_flax_file"]


def read_flax_file(path: str | PathLike[str]) -> dict[str, Any]:
    """Returns the saved value: nested dicts by names, numbers, strings, unchunked arrays.

    Raises:
      CheckpointFileError: if the file has another format or is damaged.
      OSError: if there is no such file.
    """
    try:
        content = serialization.msgpack_restore(Path(path).read_bytes())
    except OSError:
        raise
    # A damaged file can make msgpack and flax raise any error.
    except Exception as error:
        raise CheckpointFileError(
            path, f"it is no msgpack file of Flax, or damaged: {error}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointFileError(path, "it is no msgpack file of Flax: it holds no dict")
    return content
