"""Trains and measures experiments."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from experiments.reproduction.measuring import measured
from experiments.reproduction.paths import Paths
from experiments.reproduction.result import Result
from experiments.studies.reports import report_of
from sde_jax.evaluation import evaluate, usual_task
from sde_jax.recipes import Generative, Named, Trainable
from sde_jax.runs import find, open_generative, train_experiment, training_seconds
from sde_jax.training import NotARunError, RunDirectory, RunError, normal, saved_steps


def reproduce_experiment(name: str, paths: Paths) -> Result:
    """Trains an experiment, unless its run is finished, and measures it.

    Raises:
      RunError: if a signal stopped the training, or the folder holds another experiment.
    """
    named = find(name)
    named = dataclasses.replace(named, experiment=paths.with_data(named.experiment))
    path = paths.runs / name
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
