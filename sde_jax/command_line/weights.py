"""``sde-jax weights inception``."""

import shutil
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from sde_jax.arguments import UsageError
from sde_jax.atomic import write_whole
from sde_jax.command_line.options.weights import Weights
from sde_jax.command_line.output import writable
from sde_jax.interop.inception import (
    PUBLISHED_SHA256,
    PUBLISHED_URL,
    cached_inception,
    read_published_inception,
    save_inception,
    weights_sha256,
)


def main(options: Weights) -> dict[str, Any]:
    """Runs the command and returns its results."""
    if options.file is not None:
        return convert(options.file)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PUBLISHED_URL.rpartition("/")[2]
        fetch(PUBLISHED_URL, file)
        return convert(file)


def convert(file: Path) -> dict[str, Any]:
    """Writes the published file's weights to the cache."""
    out = writable(cached_inception())
    try:
        params = read_published_inception(file, PUBLISHED_SHA256)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    write_whole(out, lambda path: save_inception(path, params))
    return {"out": str(out), "source_sha256": PUBLISHED_SHA256, "sha256": weights_sha256(params)}


def fetch(url: str, file: Path) -> None:
    """Downloads a file; a failure is one line."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response, file.open("wb") as out:
            shutil.copyfileobj(response, out)
    except OSError as error:
        raise UsageError(f"{url} cannot be fetched: {error}. --from FILE takes a copy.") from None
