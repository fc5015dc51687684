"""``sde-jax train NAME``."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from sde_jax.arguments import Switch, UsageError
from sde_jax.command_line.parsing import parse
from sde_jax.evaluation.accuracy import held_out_accuracy
from sde_jax.interop.configurations import published_names
from sde_jax.recipes import Trainable
from sde_jax.recipes.effects import check_effects
from sde_jax.runs.catalogue import find, names
from sde_jax.runs.training import count_parameters, train_experiment, with_absolute_paths
from sde_jax.training.processes import join_processes


@dataclass(frozen=True, kw_only=True)
class Train:
    """Trains an experiment in a run directory."""

    experiment: Annotated[Trainable, tyro.conf.arg(name="")]
    workdir: Path
    """The run directory."""
    resume: Switch = False
    """Start the run if it does not exist, continue it if it does, do nothing if it is finished."""
    dry_run: Switch = False
    """Print the number of parameters and the resolved configuration, and write nothing."""


HELP = """\
usage: sde-jax train NAME [OPTIONS]

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
    options = parse(Train, args[1:], f"sde-jax train {name}", default)
    check_effects(options.experiment, named.experiment)
    named = dataclasses.replace(named, experiment=options.experiment)
    if options.dry_run:
        stored = with_absolute_paths(named).config()
        return {"parameters": count_parameters(named.experiment), **stored}
    join_processes()
    workdir = options.workdir
    result = train_experiment(named, workdir, resume=options.resume)
    return {
        "run": str(workdir),
        "step": result.step,
        "stopped": result.stopped,
        "held_out_loss": result.held_out_loss,
        "seconds": round(result.seconds, 1),
        "examples_per_second": round(result.images_per_second, 1),
        **({} if result.stopped else held_out_accuracy(workdir)),
    }
