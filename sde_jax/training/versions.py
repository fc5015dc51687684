"""The software and hardware that a run uses."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

import sde_jax

PACKAGES = (
    "sde_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "diffrax",
    "orbax-checkpoint",
    "numpy",
)


def environment() -> dict[str, Any]:
    """Returns versions of Python and packages, git revision, and the devices, for JSON."""
    return {
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "git": git_revision(Path(sde_jax.__path__[0])),
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
    }


def package_version(name: str) -> str | None:
    """Returns the installed version, or None for a package that is used without installation."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_revision(directory: Path) -> dict[str, Any] | None:
    """Returns the commit of the checkout of ``directory``, and whether Python files differ."""
    try:
        git(directory, "ls-files", "--error-unmatch", "__init__.py")
        revision = git(directory, "rev-parse", "HEAD").strip()
        changes = git(directory, "status", "--porcelain", "-uall", "--", ":(top)*.py").strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": revision, "dirty": bool(changes)}


def git(directory: Path, *arguments: str) -> str:
    """Returns the output of a git command."""
    return subprocess.run(
        ["git", "-C", str(directory), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    ).stdout
