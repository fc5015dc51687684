"""The configuration of a run directory."""

from pathlib import Path
from typing import Any

from sde_jax.json_files import DamagedFileError, read_json
from sde_jax.training.errors import NotARunError


def read_config(path: Path) -> dict[str, Any]:
    """Reads the configuration of the run in ``path``.

    Raises:
      NotARunError: if there is no run, or its configuration cannot be read.
    """
    try:
        config = read_json(path / "config.json")
    except (FileNotFoundError, NotADirectoryError):
        raise NotARunError(f"{path} holds no run: it has no config.json") from None
    except DamagedFileError as error:
        raise NotARunError(str(error)) from None
    if not isinstance(config, dict):
        raise NotARunError(f"{path / 'config.json'} is damaged: it holds no JSON object")
    return config
