"""``sde-jax likelihood RUN``."""

import functools
import math
import time
from typing import Any, cast

import jax

from sde_jax.arguments import UsageError
from sde_jax.atomic import write_whole
from sde_jax.command_line.opening import open_first
from sde_jax.command_line.options.likelihood import Likelihoods, parsed
from sde_jax.command_line.output import checked_output
from sde_jax.recipes.likelihood_settings import by_flow
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.runs.conditions import condition_of, given, read_condition
from sde_jax.runs.mean_likelihood import mean_likelihood
from sde_jax.runs.measurement import concatenate, measure, plain, summarize, unit_of, write_table
from sde_jax.runs.steps import fixed_steps
from sde_jax.runs.trained_run import GenerativeRun, ScoreRun
from sde_jax.training.processes import is_first, raise_on_all


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    run = open_first(args)
    options = parsed(args, run.directory.path, run.experiment)
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
        raise UsageError(
            f"--steps does not apply to a {run.experiment.kind}.{run.experiment.alternative}"
        )
    if not by_flow(settings):
        raise UsageError(f"--steps does not apply to --protocol {settings.protocol}.")
    if (settings.tolerance, settings.method) != (default.tolerance, default.method):
        raise UsageError("--tolerance and --method are of adaptive solvers, without --steps.")


def execute(run: GenerativeRun, options: Likelihoods) -> dict[str, Any]:
    """Measures the likelihoods, and writes the table of ``--out``."""
    out = raise_on_all(lambda: options.out and checked_output(options.out, ".csv"))
    if options.split not in run.source.sizes:
        splits = ", ".join(run.source.sizes)
        raise UsageError(f"--split must be one of {splits}: got {options.split}.")
    if options.condition is not None:
        size = run.source.sizes[options.split]
        count = size if options.count is None else min(options.count, size)
        run = given(run, read_condition(run, options.condition), count=count, of="examples")
    density = run.density(options.settings)
    if density is None:
        raise UsageError(f"a {run.experiment.kind} has no likelihood.{run.experiment.alternative}")
    started = time.perf_counter()
    if options.steps == "auto":
        found = mean_alone(cast(ScoreRun, run), options)
    else:
        unit, errors = unit_of(run.layout), {}
        if options.steps is not None:
            fixed = fixed_steps(cast(ScoreRun, run), options.settings)
            density, error = fixed.corrected(options.steps)
            errors = {
                "common_error": plain(unit.factor * error.mean),
                "step_error": plain(abs(unit.factor) * error.left),
            }
        parts = measure(
            density,
            run.params,
            run.source,
            options.split,
            key=jax.random.key(options.seed),
            count=options.count,
            batch_size=options.batch_size,
            condition_of=functools.partial(condition_of, run),
        )
        measured = concatenate(parts)
        found = {**summarize(measured, run.layout), **errors}
        if out is not None and is_first():
            write_whole(out, lambda path: write_table(measured, run.layout, path))
    seconds = round(time.perf_counter() - started, 2)
    return {**found, **facts(run, options), "seconds": seconds, "out": out and str(out)}


def facts(run: GenerativeRun, options: Likelihoods) -> dict[str, Any]:
    """Returns what was measured, and by which protocol."""
    found = {"split": options.split, "step": run.step}
    if isinstance(run.experiment, ScoreExperiment):
        protocol = run.experiment.measurement(run.layout, options.settings)
        found |= {"protocol": options.settings.protocol, "measures": protocol.measures}
    return found


def mean_alone(run: ScoreRun, options: Likelihoods) -> dict[str, Any]:
    """Returns the results of ``--steps auto``."""
    unit = unit_of(run.layout)
    wanted = None if options.stderr is None else options.stderr / abs(unit.factor)
    mean, size = mean_likelihood(
        run,
        options.settings,
        options.split,
        count=options.count,
        seed=options.seed,
        batch_size=options.batch_size,
        wanted=wanted,
    )
    mean = mean.scaled(unit.factor)
    return {
        unit.name: mean.mean,
        "stderr": mean.stderr,
        "solver_stderr": mean.solver_stderr,
        "nfe": mean.nfe,
        "count": size,
        "counts_by_steps": {str(steps): count for steps, count in mean.counts.items()},
        "dimensions": math.prod(run.layout.shape),
        "failed": [],
    }
