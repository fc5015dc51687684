"""The cache of compiled programs on disk."""

import contextlib
import hashlib
import os
import platform
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from sde_jax.arrays import single_precision
from sde_jax.cache_folder import cache_folder

UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '([\w.-]+)'")


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Computes in single precision, and keeps compiled programs: see `keep_compiled`."""
    keep_compiled()
    shown = warnings.showwarning

    def show(message: Warning | str, *where: Any, **source: Any) -> None:
        forget_unreadable(str(message))
        shown(message, *where, **source)

    with warnings.catch_warnings(), single_precision():
        warnings.showwarning = show
        yield


def keep_compiled() -> None:
    """Makes JAX cache every compiled program in the user's cache folder, small programs included.

    Leaves it alone where it was told of another folder (``JAX_COMPILATION_CACHE_DIR``) or of none
    (``JAX_ENABLE_COMPILATION_CACHE=false``), and where the folder cannot be written.
    """
    told = jax.config.values
    if told["jax_compilation_cache_dir"] or not told["jax_enable_compilation_cache"]:
        return
    folder = cache_folder() / "compiled" / processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def forget_unreadable(warning: str) -> None:
    """Deletes a cached program that JAX cannot read, such as a truncated one.

    JAX goes on without it, but would never replace it.
    """
    named = UNREADABLE.search(warning)
    if named:
        folder = Path(jax.config.values["jax_compilation_cache_dir"])
        for path in folder.glob(f"{named[1]}-*-cache"):
            path.unlink(missing_ok=True)


def processor() -> str:
    """Returns a name for this kind of processor: a program may use instructions that another
    lacks."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    features = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    digest = hashlib.sha256("\n".join(sorted(features) or lines).encode()).hexdigest()
    return f"{platform.machine()}-{digest[:12]}"
