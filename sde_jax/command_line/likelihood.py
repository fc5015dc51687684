"""``sde-jax likelihood RUN``."""

import functools
import math
import time
from typing import Any, cast

import jax

from sde_jax.arguments import UsageError
from sde_jax.atomic import write_whole
from sde_jax.command_line.opening import open_first
from sde_jax.command_line.options.likelihood import Likelihoods
from sde_jax.command_line.output import checked_output
from sde_jax.command_line.parsing import parse
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.runs.measurement import concatenate, measure, summarize, write_table
from sde_jax.runs.steps import (
    CHECKED,
    fixed_steps,
    root_mean_square_difference,
)
from sde_jax.runs.trained_run import GenerativeRun, ScoreRun
from sde_jax.training.processes import is_first, raise_on_all

PROGRAM = "sde-jax likelihood"


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    run = open_first(args)
    default = Likelihoods(run=run.directory.path, settings=run.experiment.likelihood)
    options = parse(Likelihoods, args, PROGRAM, default, run=default.run)
    if options.steps is not None:
        check_steps(run, options)
    return execute(run, options)


def check_steps(run: GenerativeRun, options: Likelihoods) -> None:
    """Refuses steps that the model or the other options do not allow.

    Raises:
      UsageError: if the run is of no score model, or options of an adaptive solver are given.
    """
    settings, default = options.settings, run.experiment.likelihood
    if not isinstance(run.experiment, ScoreExperiment):
        raise UsageError(f"--steps does not apply to a {run.experiment.kind}.")
    if (settings.tolerance, settings.method) != (default.tolerance, default.method):
        raise UsageError("--tolerance and --method are of adaptive solvers, without --steps.")


def execute(run: GenerativeRun, options: Likelihoods) -> dict[str, Any]:
    """Measures the likelihoods, and writes the table of ``--out``."""
    out = raise_on_all(lambda: options.out and checked_output(options.out, ".csv"))
    if options.split not in run.source.sizes:
        splits = ", ".join(run.source.sizes)
        raise UsageError(f"--split must be one of {splits}: got {options.split}.")
    density = run.density(options.settings)
    if density is None:
        raise UsageError(f"a {run.experiment.kind} has no likelihood.")
    measure_by = functools.partial(
        measure,
        params=run.params,
        source=run.source,
        split=options.split,
        key=jax.random.key(options.seed),
        batch_size=options.batch_size,
    )
    started = time.perf_counter()
    found: dict[str, Any] = {}
    if options.steps is not None:
        of_steps = fixed_steps(cast(ScoreRun, run), options.settings)
        density, finer = of_steps(options.steps), of_steps(2 * options.steps)
    measured = concatenate(measure_by(density, count=options.count))
    if options.steps is not None:
        few = min(CHECKED, len(measured.nats))
        checked = concatenate(measure_by(finer, count=few))
        found = {"step_error": root_mean_square_difference(measured, checked)}
    seconds = time.perf_counter() - started
    if out is not None and is_first():
        write_whole(out, lambda path: write_table(measured, path))
    return {
        **summarize(measured, math.prod(run.layout.shape)),
        **found,
        "split": options.split,
        "seconds": round(seconds, 2),
        "out": None if out is None else str(out),
        "step": run.step,
    }
