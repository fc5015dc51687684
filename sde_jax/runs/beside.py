"""Runs that another run refers to."""

from pathlib import Path

from sde_jax.training.errors import NotARunError


def run_beside(named: str, run: Path, option: str) -> Path:
    """Returns the run ``named``: a path, or the name of a run in the folder of ``run``.

    Raises:
      NotARunError: if there is none; the message names ``option``.
    """
    for path in (Path(named).expanduser(), run.absolute().parent / named):
        if path.is_dir():
            return path
    raise NotARunError(
        f"there is no run {named}, nor one beside {run}: train it, or name it with {option} RUN."
    )
