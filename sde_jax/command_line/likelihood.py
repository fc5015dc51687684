"""``sde-jax likelihood RUN``."""

import functools
import math
import time
from collections.abc import Callable
from typing import Any, cast

import jax
import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.atomic import write_whole
from sde_jax.command_line.opening import open_first
from sde_jax.command_line.options.likelihood import Likelihoods
from sde_jax.command_line.output import checked_output
from sde_jax.command_line.parsing import parse
from sde_jax.recipes.effects import check_effects
from sde_jax.recipes.interfaces import Measured
from sde_jax.recipes.likelihood_settings import by_flow
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.runs.measurement import concatenate, measure, summarize, unit_of, write_table
from sde_jax.runs.multilevel import multilevel_mean
from sde_jax.runs.steps import CHECKED, fixed_steps, root_mean_square_difference
from sde_jax.runs.trained_run import GenerativeRun, ScoreRun
from sde_jax.training.processes import is_first, raise_on_all

PROGRAM = "sde-jax likelihood"


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    run = open_first(args)
    default = Likelihoods(run=run.directory.path, settings=run.experiment.likelihood)
    options = parse(Likelihoods, args, PROGRAM, default, run=default.run)
    if options.settings is not None:
        check_effects(options.settings, default.settings)
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
    if options.steps is not None:
        of_steps = functools.cache(fixed_steps(cast(ScoreRun, run), options.settings))

        def in_steps(steps: int, **which: Any) -> Measured:
            return concatenate(measure_by(of_steps(steps), **which))

    if options.steps == "auto":
        found = mean_alone(run, options, in_steps)
    else:
        measured = (
            concatenate(measure_by(density, count=options.count))
            if options.steps is None
            else in_steps(options.steps, count=options.count)
        )
        found = summarize(measured, run.layout)
        if options.steps is not None:
            checked = in_steps(2 * options.steps, count=min(CHECKED, len(measured.nats)))
            difference = root_mean_square_difference(measured, checked)
            error = abs(unit_of(run.layout).factor)
            found["step_error"] = None if difference is None else error * difference
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


def mean_alone(
    run: GenerativeRun, options: Likelihoods, in_steps: Callable[..., Measured]
) -> dict[str, Any]:
    """Returns the results of ``--steps auto``; ``in_steps`` measures in so many steps."""
    size = run.source.sizes[options.split]
    size = size if options.count is None else min(size, options.count)
    if size < 2:
        raise UsageError("--steps auto measures two examples or more.")

    def bits(steps: int, chosen: np.ndarray) -> np.ndarray:
        measured = in_steps(steps, count=None, chosen=chosen)
        if not measured.converged.all():
            failed = ", ".join(map(str, chosen[~measured.converged]))
            raise UsageError(f"example {failed} has no likelihood in {steps} steps.")
        return measured.bits_per_dim

    rng = np.random.default_rng(options.seed)
    unit = unit_of(run.layout)
    error = abs(unit.factor)
    wanted = None if options.stderr is None else options.stderr / error
    mean = multilevel_mean(bits, size, rng, wanted)
    return {
        unit.name: unit.factor * mean.mean,
        "stderr": error * mean.stderr,
        "solver_stderr": error * mean.solver_stderr,
        "nfe": mean.nfe,
        "count": size,
        "counts_by_steps": {str(steps): count for steps, count in mean.counts.items()},
        "dimensions": math.prod(run.layout.shape),
        "failed": [],
    }
