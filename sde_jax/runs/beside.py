"""Runs that another run refers to."""

from pathlib import Path

from sde_jax.training.errors import NotARunError


def find_beside(named: str, run: Path) -> Path | None:
    """Returns the run ``named``: a path, or the name of a run in the folder of ``run``; None if
    there is none."""
    places = (Path(named).expanduser(), run.absolute().parent / named)
    return next((place for place in places if place.is_dir()), None)


def run_beside(named: str, run: Path, option: str) -> Path:
    """Returns the run of `find_beside`.

    Raises:
      NotARunError: if there is none; the message names ``option``.
    """
    found = find_beside(named, run)
    if found is None:
        raise NotARunError(
            f"there is no run {named}, nor one beside {run}: train it, or name it with "
            f"{option} RUN."
        )
    return found
