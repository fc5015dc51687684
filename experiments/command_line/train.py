"""``python -m experiments train NAME``."""

import dataclasses
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import tyro

from experiments.command_line.parsing import Switch, UsageError, parse
from experiments.configuration import Named, find, find_report, names
from experiments.kinds.trainable import Trainable
from experiments.runs import open_run_of
from sde_jax import figures
from sde_jax.atomic import write_json
from sde_jax.data.source import DataSource
from sde_jax.interop.score_sde import published_names
from sde_jax.training.devices import data_mesh
from sde_jax.training.learner import Learner
from sde_jax.training.loop import TrainResult, train
from sde_jax.training.pictures import Draw
from sde_jax.training.processes import is_first, join_processes, raise_on_all
from sde_jax.training.run_directory import RunDirectory

CHANGEABLE = frozenset(
    {
        "experiment.training.steps",
        "experiment.training.checkpoint_every",
        "experiment.training.sample_every",
        "experiment.training.steps_per_call",
        "experiment.training.accumulate",
        "experiment.training.shard_parameters",
        "experiment.network.rematerialize",
        "experiment.data.data_dir",
        "experiment.data.path",
        "experiment.data.storage.keep",
        "experiment.data.storage.folder",
        "experiment.data.storage.workers",
        "experiment.sampling",
        "experiment.likelihood",
        "experiment.evaluation",
    }
)
"""What may differ when a run is continued, with all that is in it; the number of devices is in no
configuration."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Trains an experiment in a run directory."""

    experiment: Annotated[Trainable, tyro.conf.arg(name="")]
    workdir: Path
    """The run directory."""
    resume: Switch = False
    """Start the run if it is not there, continue it if it is, do nothing if it is finished."""
    dry_run: Switch = False
    """Print the number of parameters and the resolved configuration, and write nothing."""


HELP = """\
usage: python -m experiments train NAME [OPTIONS]

Trains the experiment NAME in a run directory, or a published model by its name or from the .json
file that `export` writes. The experiments, whose options differ:

  {names}

and the published models:

  {published}

`list` says what they are, `train NAME --help` explains every option.
"""


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    if args[:1] in (["-h"], ["--help"]):
        shown = {"names": names(), "published": published_names()}
        print(HELP.format(**{key: "\n  ".join(value) for key, value in shown.items()}), end="")
        sys.exit()
    if not args or args[0].startswith("-"):
        raise UsageError("train needs the NAME of an experiment first: `list` shows them.")
    name = args[0]
    named = find(name)
    default = Train(experiment=named.experiment, workdir=Path("runs") / named.name)
    options = parse(Train, args[1:], f"train {name}", default)
    named = dataclasses.replace(named, experiment=options.experiment)
    if options.dry_run:
        return {"parameters": count_parameters(named.experiment), **named.config()}
    join_processes()
    workdir = options.workdir
    result = run(named, workdir, resume=options.resume)
    return {
        "run": str(workdir),
        "step": result.step,
        "stopped": result.stopped,
        "held_out_loss": result.held_out_loss,
        "seconds": round(result.seconds, 1),
        "examples_per_second": round(result.images_per_second, 1),
        **({} if result.stopped else measured(named, workdir, result.step)),
    }


def run(named: Named[Trainable], workdir: Path, *, resume: bool) -> TrainResult:
    """Trains the experiment in ``workdir`` and draws its training curve."""
    source, learner, draw = raise_on_all(lambda: prepare(named.experiment))
    if resume:
        directory = RunDirectory.resume(workdir, named.config(), changeable=CHANGEABLE)
    else:
        directory = RunDirectory.create(workdir, named.config())
    result = train(learner, source, directory, named.experiment.training, draw=draw)
    if is_first():
        directory.pictures.mkdir(exist_ok=True)
        figures.curves(
            directory.read_metrics(),
            directory.pictures / "training.png",
            series={"loss": "training", "held_out_loss": "held out"},
        )
    return result


class Prepared(NamedTuple):
    """What `sde_jax.training.loop.train` takes of an experiment."""

    source: DataSource
    learner: Learner
    draw: Draw | None


def prepare(experiment: Trainable) -> Prepared:
    """Loads the data and checks experiment, data and devices against each other.

    Raises:
      ValueError: if they do not fit.
    """
    experiment.training.check_devices(data_mesh())
    source = experiment.data.load()
    experiment.check_data(source)
    learner = experiment.learner(source.shape)
    jax.eval_shape(learner.init, jax.random.key(0))
    draw = experiment.snapshots(source, data_mesh())
    experiment.training.check_drawing(draw is not None)
    return Prepared(source, learner, draw)


def count_parameters(experiment: Trainable) -> int:
    """How many numbers the network holds; needs no data where the spec states their shape.

    Raises:
      ValueError: if network, data and devices do not fit.
    """
    experiment.training.check_devices(data_mesh())
    learner = experiment.learner(experiment.data.layout().shape)
    params = jax.eval_shape(learner.init, jax.random.key(0)).params
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def measured(named: Named[Trainable], workdir: Path, step: int) -> dict[str, Any]:
    """What the experiment's ``report`` finds in a finished run, if it has one; found only once."""
    report = find_report(named.name)
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
