"""``python -m experiments train NAME``."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

from experiments.command_line.parsing import UsageError, parse
from experiments.configuration import find, find_report, to_config
from experiments.experiment import Experiment
from experiments.runs import open_run
from sde_jax import figures
from sde_jax.training.devices import data_mesh
from sde_jax.training.loop import TrainResult, train
from sde_jax.training.run_directory import RunDirectory

CHANGEABLE = frozenset(
    {
        "experiment.training.steps",
        "experiment.training.checkpoint_every",
        "experiment.training.steps_per_call",
        "experiment.data.data_dir",
    }
)
"""What may differ when a run is continued; the number of devices is in no configuration."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Trains an experiment in a run directory."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    workdir: Path | None = None
    """The run directory; by default runs/NAME."""
    resume: bool = False
    """Start the run if it is not there, continue it if it is, do nothing if it is finished."""
    dry_run: bool = False
    """Print the number of parameters and the resolved configuration, and write nothing."""


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    if not args or args[0].startswith("-"):
        raise UsageError("train needs the NAME of an experiment first: `list` shows them.")
    name = args[0]
    options = parse(Train, args[1:], f"train {name}", Train(experiment=find(name)))
    if options.dry_run:
        return dry_run(name, options.experiment)
    workdir = options.workdir or Path("runs") / name
    result = run(name, options.experiment, workdir, resume=options.resume)
    report = None if result.stopped else find_report(name)
    return {
        "run": str(workdir),
        "step": result.step,
        "stopped": result.stopped,
        "held_out_loss": result.held_out_loss,
        "seconds": round(result.seconds, 1),
        "examples_per_second": round(result.images_per_second, 1),
        **({} if report is None else report(open_run(workdir, data_mesh()))),
    }


def run(name: str, experiment: Experiment, workdir: Path, *, resume: bool) -> TrainResult:
    """Trains ``experiment`` in ``workdir`` and draws its training curve."""
    source = experiment.data.load()
    experiment.training.check(source, data_mesh())
    config = {"name": name, "experiment": to_config(experiment)}
    if resume:
        directory = RunDirectory.resume(workdir, config, changeable=CHANGEABLE)
    else:
        directory = RunDirectory.create(workdir, config)
    result = train(experiment.learner(source.shape), source, directory, experiment.training)
    if jax.process_index() == 0:
        directory.pictures.mkdir(exist_ok=True)
        figures.curves(
            directory.read_metrics(),
            directory.pictures / "training.png",
            series={"loss": "training", "held_out_loss": "held out"},
        )
    return result


def dry_run(name: str, experiment: Experiment) -> dict[str, Any]:
    """The number of parameters, from shapes alone, and the configuration."""
    shape = experiment.data.load().shape
    shapes = jax.eval_shape(lambda key: experiment.model().init(key, shape), jax.random.key(0))
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
    return {"parameters": parameters, "name": name, "experiment": to_config(experiment)}
