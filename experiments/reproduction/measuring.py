"""Measures studies."""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.reproduction.order import find_study
from experiments.reproduction.paths import Paths
from experiments.reproduction.result import Result
from experiments.studies.study import Study
from sde_jax.atomic import write_json
from sde_jax.recipes import to_config
from sde_jax.training import environment, normal


def reproduce_study(name: str, paths: Paths, trained: Mapping[str, Result]) -> Result:
    """Measures a study and copies its pictures.

    Args:
      name: Name of the study.
      paths: Folders; ``paths.runs`` holds the runs that the study measures.
      trained: Result of each of these runs, by name.
    """
    folder = paths.runs / name
    study = paths.with_data(find_study(name))
    result = measured(study, name, paths.runs, folder / "study.json", trained)
    shown = paths.out / "pictures"
    shown.mkdir(parents=True, exist_ok=True)
    for picture in (folder / "pictures").iterdir():
        shutil.copyfile(picture, shown / f"{name}-{picture.name}")
    return result


def measured(
    study: Study, name: str, runs: Path, record: Path, trained: Mapping[str, Result]
) -> Result:
    """Returns the result of a study, from ``record`` if it is of the same runs.

    The pictures go into the folder ``pictures`` beside ``record``.
    """
    weights = {run: result.results.get("weights", result.commit) for run, result in trained.items()}
    identity = normal({"name": name, "study": to_config(study), "weights": weights})
    known = recorded(record, identity)
    if known is not None:
        return known
    pictures = record.parent / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    started, here = time.monotonic(), environment()
    results = study.measure(runs, pictures)
    minutes = results.get("minutes", (time.monotonic() - started) / 60)
    result = Result.found(name, results, minutes, here)
    write_json(record, {"identity": identity, "result": result.to_json()})
    return result


def recorded(path: Path, identity: dict[str, Any]) -> Result | None:
    """Returns the stored result if it has the same identity, else None."""
    try:
        stored = json.loads(path.read_text())
        return Result.from_json(stored["result"]) if stored["identity"] == identity else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
