"""Files that a command writes for its user."""

from pathlib import Path

from experiments.command_line.parsing import UsageError


def checked_output(out: Path | None, suffix: str) -> Path | None:
    """``out`` with its suffix, if anything.

    Raises:
      UsageError: if a file of this name is there already, or its folder is a file.
    """
    if out is None:
        return None
    out = out if out.suffix == suffix else out.with_name(out.name + suffix)
    if out.exists():
        raise UsageError(f"--out {out} exists already: choose another name.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror}.") from None
    return out
