"""Trains experiments, and measures them and studies."""

import dataclasses
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.reproduction.order import find_study
from experiments.reproduction.paths import Paths
from experiments.reproduction.result import Result
from experiments.studies.reports import report_of
from experiments.studies.study import Study
from sde_jax.atomic import write_json
from sde_jax.evaluation import evaluate, usual_task
from sde_jax.recipes import Generative, Named, Trainable, to_config
from sde_jax.runs import (
    find,
    open_generative,
    train_experiment,
    training_seconds,
    with_absolute_paths,
)
from sde_jax.training import NotARunError, RunDirectory, RunError, environment, normal, saved_steps


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


def reproduce_experiment(name: str, paths: Paths) -> Result:
    """Trains an experiment, unless its run is finished, and measures it.

    Raises:
      RunError: if a signal stopped the training, or the folder holds another experiment.
    """
    named = find(name)
    path = paths.runs / name
    named = dataclasses.replace(named, experiment=paths.with_data(named.experiment))
    named = with_absolute_paths(named, path)
    if not is_finished(path, named):
        trained = train_experiment(named, path, resume=True)
        if trained.stopped:
            raise RunError(f"{name} stopped at step {trained.step}: the same command continues it")
    results: dict[str, Any] = {"step": named.experiment.training.steps}
    if isinstance(named.experiment, Generative):
        record = evaluate(usual_task(open_generative(path)))
        fields = ("weights", "samples", "sampling", "findings")
        results |= {field: record[field] for field in fields}
    first = json.loads((path / "versions.json").read_text())[0]
    teacher = getattr(named.experiment, "teacher", None)
    if teacher is not None:
        results["teacher_minutes"] = round(training_seconds(RunDirectory.open(teacher)) / 60, 2)
    minutes = training_seconds(RunDirectory.open(path)) / 60
    result = Result.found(name, results, minutes, first)
    report = report_of(named)
    if report is None:
        return result
    own = measured(report, name, paths.runs, path / "report.json", {name: result})
    return dataclasses.replace(result, results={**results, "report": own.results})


def is_finished(path: Path, named: Named[Trainable]) -> bool:
    """Returns whether ``path`` holds a finished run of exactly this experiment."""
    try:
        stored = RunDirectory.open(path)
    except NotARunError:
        return False
    last = max(saved_steps(stored.checkpoints), default=0)
    return last >= named.experiment.training.steps and stored.config == normal(named.config())
