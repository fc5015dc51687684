"""The cache folder, for files that can be regenerated."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Returns ``$XDG_CACHE_HOME/sde_jax``, or ``~/.cache/sde_jax``; it need not exist."""
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "sde_jax"
