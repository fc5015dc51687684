"""``python -m experiments``: reproduces experiments and studies."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

from experiments.reproduction.measuring import reproduce_experiment, reproduce_study
from experiments.reproduction.order import FULL_SIZE, ORDER, find_study, study_names
from experiments.reproduction.paths import Paths
from experiments.reproduction.result import Result
from experiments.reproduction.tables import minutes, rewrite_tables
from sde_jax.arguments import UsageError, option
from sde_jax.command_line.compiled_programs import computing
from sde_jax.command_line.main import run
from sde_jax.command_line.parsing import parse
from sde_jax.recipes import Dequantization, Generative
from sde_jax.reporting import report
from sde_jax.runs import find, names
from sde_jax.training import join_processes


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Trains and measures experiments and studies, with the runs that they need, and rewrites the
    tables of experiments/README.md. After a kill, the same command continues."""

    names: Annotated[
        tuple[str, ...], tyro.conf.Positional, option("NAME", "all that fit on the machine")
    ] = ()
    """Any number of experiments and studies that `sde-jax list` shows."""
    runs: Path = Path("runs")
    """Folder of the runs; the run of an experiment is the subfolder of its name."""
    data_dir: Annotated[Path | None, option("FOLDER", "~/tensorflow_datasets")] = None
    """Folder of prepared data sets of tensorflow_datasets."""
    out: Path = Path(__file__).parent
    """Folder whose README.md, results/ and pictures/ are rewritten."""


@computing()
def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    options = parse(Reproduce, args, "python -m experiments")
    known = {*names(), *study_names()}
    for name in options.names:
        if name not in known:
            raise UsageError(f"no experiment or study {name!r}: `sde-jax list` shows them.")
    join_processes()
    if jax.process_count() > 1:
        raise UsageError("`python -m experiments` needs one process: it uses all its devices.")
    paths = Paths(runs=options.runs, out=options.out, data_dir=options.data_dir)
    done: dict[str, Result] = {}
    for name in options.names or fitting(jax.default_backend()):
        reproduce(name, paths, done)
    return {"reproduced": list(done), "out": str(paths.out)}


def fitting(backend: str) -> Sequence[str]:
    """Returns the names that a backend can run to the end, in the order of the tables."""
    return [name for name in ORDER if backend != "cpu" or name not in FULL_SIZE]


def needed_by(name: str) -> Sequence[str]:
    """Returns the runs that a study measures, the classifier that evaluates an experiment, or the
    score model of a dequantizer."""
    if name in study_names():
        return find_study(name).trained
    experiment = find(name).experiment
    if isinstance(experiment, Dequantization):
        return (experiment.score,)
    if not isinstance(experiment, Generative):
        return ()
    settings = experiment.evaluation
    if settings.classifier is None or "classifier" not in settings.features:
        return ()
    return (settings.classifier,)


def reproduce(name: str, paths: Paths, done: dict[str, Result]) -> Result:
    """Reproduces a name after those that it needs, unless ``done`` has it; rewrites the tables."""
    if name in done:
        return done[name]
    before = {needed: reproduce(needed, paths, done) for needed in needed_by(name)}
    is_study = name in study_names()
    result = reproduce_study(name, paths, before) if is_study else reproduce_experiment(name, paths)
    done[name] = result
    result.write(paths.out / "results")
    rewrite_tables(paths.out)
    what = "measuring" if is_study else "training"
    report(f"{name}: {minutes(result.minutes)} minutes of {what}")
    return result


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
