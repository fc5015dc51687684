"""Paths of files that commands write; they never replace others."""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sde_jax.arguments import UsageError


def checked_output(out: Path, suffix: str, *, beside: Sequence[str] = ()) -> Path:
    """Returns ``out`` with its suffix, after checking that it can be written.

    Args:
      out: what the user asked for.
      suffix: what the file's name must end with; added where it does not.
      beside: endings, in place of the suffix, of the other files that are written.

    Raises:
      UsageError: if ``out`` is a folder, a file is there already, or the folder is not writable.
    """
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name a file in it.")
    out = out if out.suffix == suffix else out.with_name(out.name + suffix)
    for path in (out, *(out.with_name(out.stem + ending) for ending in beside)):
        if path.exists():
            raise UsageError(f"--out {out}: {path} exists already. Choose another name.")
    return writable(out)


def output_file(out: Path | None, usual: Path, *, beside: Sequence[str] = ()) -> Path:
    """Returns ``out``, as `checked_output` does, or the usual path, which may be replaced.

    Raises:
      UsageError: if it cannot be written, or ``out`` exists already.
    """
    if out is not None:
        return checked_output(out, usual.suffix, beside=beside)
    return writable(usual, remedy=" Name another file with --out.")


def file_name(text: str) -> str:
    """Replaces the characters that a file's name may not have everywhere."""
    return re.sub("[^A-Za-z0-9_.-]", "_", text)


def writable(path: Path, *, remedy: str = "") -> Path:
    """Returns ``path`` after checking that it, or the folder that it will be in, can be written.

    Raises:
      UsageError: if not; the message ends with the remedy.
    """
    folder = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    try:
        with tempfile.TemporaryFile(dir=folder):
            return path
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.{remedy}") from None
