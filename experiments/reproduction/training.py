"""An experiment from its beginning to its results."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.reproduction.found import Found, computer, revision
from experiments.reproduction.place import Place
from experiments.studies import accuracy, answers, residuals, ring_quality
from sde_jax.atomic import write_json
from sde_jax.data import Ring
from sde_jax.evaluation.evaluation import evaluate
from sde_jax.evaluation.task import Task, usual_task
from sde_jax.recipes.classification import Classification
from sde_jax.recipes.conditional import Conditional
from sde_jax.recipes.denoiser_prior import DenoiserPrior
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.named import Named
from sde_jax.recipes.noisy_classification import NoisyClassification
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.catalogue import find
from sde_jax.runs.status import training_seconds
from sde_jax.runs.trained_run import open_generative, open_run_of
from sde_jax.runs.training import run
from sde_jax.training.checkpoint import saved_steps
from sde_jax.training.devices import data_mesh
from sde_jax.training.errors import NotARunError, RunError
from sde_jax.training.processes import is_first
from sde_jax.training.run_directory import RunDirectory, normal

__all__ = ["reproduce_experiment"]


def reproduce_experiment(name: str, place: Place) -> Found:
    """Trains it, unless it is trained, and measures it, as far as it is not measured.

    Raises:
      RunError: if a signal stopped its training, or another experiment is in its folder.
    """
    named = find(name)
    named = dataclasses.replace(named, experiment=place.with_data(named.experiment))
    path = place.runs / name
    if not is_finished(path, named):
        result = run(named, path, resume=True)
        if result.stopped:
            raise RunError(f"{name} stopped at step {result.step}: the same command goes on")
    results: dict[str, Any] = {"step": named.experiment.training.steps}
    report = measured(named, path, results["step"])
    if report:
        results["report"] = {name: value for name, value in report.items() if name != "picture"}
    if isinstance(named.experiment, Generative):
        record = evaluate(task_of(path))
        kept = ("weights", "samples", "sampling", "findings")
        results |= {field: record[field] for field in kept}
    first = json.loads((path / "versions.json").read_text())[0]
    return Found(
        name=name,
        results=results,
        minutes=round(training_seconds(RunDirectory.open(path)) / 60, 2),
        computer=computer(first),
        commit=revision(first),
    )


def is_finished(path: Path, named: Named[Trainable]) -> bool:
    """Whether ``path`` holds the run of this very experiment, trained to its end."""
    try:
        stored = RunDirectory.open(path)
    except NotARunError:
        return False
    last = max(saved_steps(stored.checkpoints), default=0)
    return last >= named.experiment.training.steps and stored.config == normal(named.config())


def task_of(path: Path) -> Task:
    """The evaluation that its experiment asks for."""
    return usual_task(open_generative(path, data_mesh()), data_mesh())


def report_of(experiment: Trainable) -> Callable[[Any], dict[str, Any]] | None:
    """Returns what measures a trained run beyond its evaluation, if there is anything."""
    if isinstance(experiment, ScoreExperiment) and isinstance(experiment.data, Ring):
        return ring_quality.report
    reports: dict[type[Trainable], Callable[[Any], dict[str, Any]]] = {
        Classification: accuracy.report,
        NoisyClassification: accuracy.report_by_noise,
        Conditional: answers.report,
        DenoiserPrior: residuals.report,
    }
    return reports.get(type(experiment))


def measured(named: Named[Trainable], workdir: Path, step: int) -> dict[str, Any]:
    """What the experiment's ``report`` finds in a finished run, if it has one; found only once."""
    report = report_of(named.experiment)
    if report is None:
        return {}
    path = workdir / "report.json"
    stored = json.loads(path.read_text()) if path.is_file() else {}
    if stored.get("step") != step:
        run = open_run_of(type(named.experiment), workdir, data_mesh())
        stored = {"step": step, "report": report(run)}
        if is_first():
            write_json(path, stored)
    return stored["report"]
