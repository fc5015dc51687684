"""``sde-jax train NAME``."""

import dataclasses
from pathlib import Path
from typing import Any

from sde_jax import evaluation, runs, training
from sde_jax.command_line.options.train import Train
from sde_jax.command_line.parsing import parse
from sde_jax.validation import check_effects


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    name = args[0]
    named = runs.find(name)
    default = Train(experiment=named.experiment, workdir=Path("runs") / named.name)
    options = parse(Train, args[1:], f"sde-jax train {name}", default)
    check_effects(options.experiment, named.experiment)
    named = dataclasses.replace(named, experiment=options.experiment)
    if options.dry_run:
        stored = runs.with_absolute_paths(named, options.workdir).config()
        return {**runs.summary(named.experiment), **stored}
    training.join_processes()
    workdir = options.workdir
    result = runs.train_experiment(named, workdir, resume=options.resume)
    return {
        "run": str(workdir),
        "step": result.step,
        "stopped": result.stopped,
        "held_out_loss": result.held_out_loss,
        "seconds": round(result.seconds, 1),
        "examples_per_second": round(result.images_per_second, 1),
        **({} if result.stopped else evaluation.held_out_accuracy(workdir)),
    }
