"""A study from its runs to its results."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from experiments.reproduction.course import find_study
from experiments.reproduction.found import Found, computer, revision
from experiments.reproduction.place import Place
from sde_jax.atomic import write_json
from sde_jax.recipes.serialization import to_config
from sde_jax.training.run_directory import normal
from sde_jax.training.versions import environment

__all__ = ["reproduce_study"]

RECORD = "study.json"


def reproduce_study(name: str, place: Place, trained: dict[str, Found]) -> Found:
    """Measures it, unless it is measured for these runs, and copies its pictures.

    Args:
      name: of the study.
      place: with the runs.
      trained: what was found of each of its runs.
    """
    study = place.with_data(find_study(name))
    folder = place.runs / name
    pictures = folder / "pictures"
    weights = {run: found.results.get("weights", found.commit) for run, found in trained.items()}
    identity = normal({"name": name, "study": to_config(study), "weights": weights})
    found = known(folder / RECORD, identity)
    if found is None:
        pictures.mkdir(parents=True, exist_ok=True)
        started, here = time.monotonic(), environment()
        results = study.measure(place.runs, pictures)
        minutes = results.get("minutes", (time.monotonic() - started) / 60)
        found = Found(
            name=name,
            results=results,
            minutes=round(minutes, 2),
            computer=computer(here),
            commit=revision(here),
        )
        write_json(folder / RECORD, {"identity": identity, "found": found.to_json()})
    shown = place.out / "pictures"
    shown.mkdir(parents=True, exist_ok=True)
    for picture in pictures.iterdir():
        shutil.copyfile(picture, shown / f"{name}-{picture.name}")
    return found


def known(path: Path, identity: dict[str, Any]) -> Found | None:
    """What was found in the same circumstances, if it was."""
    try:
        stored = json.loads(path.read_text())
        return Found.from_json(stored["found"]) if stored["identity"] == identity else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
