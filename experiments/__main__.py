"""``python -m experiments``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

from experiments.reproduction.course import COURSE, FULL_SIZE, find_study, study_names
from experiments.reproduction.found import Found
from experiments.reproduction.place import Place
from experiments.reproduction.studying import reproduce_study
from experiments.reproduction.tables import minutes, rewrite_tables
from experiments.reproduction.training import reproduce_experiment
from sde_jax.arguments import UsageError, option
from sde_jax.command_line.main import run
from sde_jax.command_line.parsing import parse
from sde_jax.recipes.generative import Generative
from sde_jax.reporting import report
from sde_jax.runs.catalogue import find, names
from sde_jax.training.processes import join_processes


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Trains, measures and draws what is named, and the runs that it needs, and rewrites the tables
    of experiments/README.md from the results. Called again after a kill, it goes on."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = ()
    """Experiments and studies, as `list` shows them; none: all that fit on the machine, in the
    order of the course."""
    runs: Path = Path("runs")
    """The folder of the runs, each called like its experiment."""
    data_dir: Annotated[Path | None, option("FOLDER", "~/tensorflow_datasets")] = None
    """Where tensorflow_datasets keeps its data."""
    out: Path = Path(__file__).parent
    """The folder with README.md, results and pictures, which are replaced."""


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    options = parse(Reproduce, args, "python -m experiments")
    known = {*names(), *study_names()}
    for name in options.names:
        if name not in known:
            raise UsageError(f"no experiment or study {name!r}: `list` shows them.")
    join_processes()
    if jax.process_count() > 1:
        raise UsageError("reproduce works in one process, on all its devices.")
    place = Place(runs=options.runs, out=options.out, data_dir=options.data_dir)
    done: dict[str, Found] = {}
    for name in options.names or fitting(jax.default_backend()):
        reproduce(name, place, done)
    return {"reproduced": list(done), "out": str(place.out)}


def fitting(backend: str) -> Sequence[str]:
    """The names of the course that can be run to their ends there."""
    return [name for name in COURSE if backend != "cpu" or name not in FULL_SIZE]


def needed_by(name: str) -> Sequence[str]:
    """The runs of a study, or the classifier that an experiment is evaluated by."""
    if name in study_names():
        return find_study(name).trained
    experiment = find(name).experiment
    if not isinstance(experiment, Generative):
        return ()
    settings = experiment.evaluation
    if settings.classifier is None or "classifier" not in settings.features:
        return ()
    return (settings.classifier,)


def reproduce(name: str, place: Place, done: dict[str, Found]) -> Found:
    """Reproduces a name, those it needs before it, and the tables; each of them once."""
    if name in done:
        return done[name]
    before = {needed: reproduce(needed, place, done) for needed in needed_by(name)}
    if name in study_names():
        found = reproduce_study(name, place, before)
    else:
        found = reproduce_experiment(name, place)
    done[name] = found
    found.write(place.out / "results")
    rewrite_tables(place.out)
    what = "measuring" if name in study_names() else "training"
    report(f"{name}: {minutes(found.minutes)} minutes of {what}")
    return found


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
