"""``sde-jax likelihood RUN``."""

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import jax
import tyro

from sde_jax.arguments import UsageError, check_counts, check_seed, option
from sde_jax.atomic import write_whole
from sde_jax.command_line.output import checked_output
from sde_jax.command_line.parsing import parse
from sde_jax.ode import Method
from sde_jax.recipes.interfaces import Density, Measured
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.runs.fixed_steps import CHECKED, fixed_steps, root_mean_square_difference
from sde_jax.runs.measurement import measure, summarize, together, write_table
from sde_jax.runs.trained_run import GenerativeRun, ScoreRun, open_generative
from sde_jax.training.devices import data_mesh
from sde_jax.training.processes import is_first, join_processes, raise_on_all

SETTINGS = ("probes", "tolerance", "method", "t_min", "importance_samples")
"""Options that are fields of an experiment's likelihood, if it has them."""
LEAST_STEPS = 8


@dataclass(frozen=True, kw_only=True)
class Likelihoods:
    """Measures the likelihood of data under a trained run: of a score model, by its probability
    flow."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run directory."""
    split: str = "test"
    """The split to measure: test or train."""
    count: Annotated[int | None, option("INT", "all")] = None
    """Examples to measure, the first ones of the split."""
    probes: Annotated[int | None, option("INT", "the experiment's")] = None
    """Hutchinson probes for each example; two or more give its standard error."""
    tolerance: Annotated[float | None, option("FLOAT", "the experiment's")] = None
    """Relative and absolute tolerance of a solver step."""
    method: Annotated[Method | None, option("PAIR", "the experiment's")] = None
    """The solver's Runge-Kutta pair: tsit5, dopri5 or bosh3."""
    steps: Annotated[int | None, option("INT", "the solver chooses")] = None
    """Fixed steps of one evaluation each, placed for the run, instead of an adaptive solver; score
    models only. Fifty leave an error of about .001 bits, in half of the evaluations or fewer; what
    they leave is estimated by twice as many."""
    t_min: Annotated[float | None, option("FLOAT", "the experiment's")] = None
    """Time at which the flow starts, in [0, 1)."""
    importance_samples: Annotated[int | None, option("INT", "the experiment's")] = None
    """Samples of the latent for each example, whose bound is the tighter the more there are; of
    models with a latent."""
    batch_size: int = 256
    """Examples measured at once; a result does not depend on it."""
    seed: int = 0
    """Seed of dequantization and probes."""
    out: Annotated[Path | None, option("FILE", "none is written")] = None
    """The .csv file, a line for each example, which must not exist."""

    def __post_init__(self) -> None:
        check_counts(count=self.count, batch_size=self.batch_size)
        check_seed(self.seed)
        if self.steps is not None and self.steps < LEAST_STEPS:
            raise ValueError(f"--steps must be at least {LEAST_STEPS}: got {self.steps}.")
        if self.steps is not None and (self.tolerance, self.method) != (None, None):
            raise ValueError("--tolerance and --method are of adaptive solvers, without --steps.")


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    options = parse(Likelihoods, args, "sde-jax likelihood")
    join_processes()
    return execute(open_generative(options.run, data_mesh()), options)


def execute(run: GenerativeRun, options: Likelihoods) -> dict[str, Any]:
    """Measures what ``options`` ask for, and writes the table if it is asked for."""
    out = raise_on_all(lambda: options.out and checked_output(options.out, ".csv"))
    if options.split not in run.source.sizes:
        splits = ", ".join(run.source.sizes)
        raise UsageError(f"--split must be one of {splits}: got {options.split}.")
    settings = settings_of(run, options)
    started = time.perf_counter()
    if options.steps is None:
        measured = evaluate(run, density_of(run, settings), options)
        found: dict[str, Any] = {}
    else:
        measured, found = in_fixed_steps(run, settings, options, options.steps)
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


def settings_of(run: GenerativeRun, options: Likelihoods) -> Any:
    """How the experiment measures, but for what was asked for.

    Raises:
      UsageError: if it has no such option.
    """
    experiment = run.experiment
    settings, kind = experiment.likelihood, experiment.kind
    for name, value in dataclasses.asdict(options).items():
        if name in SETTINGS and value is not None:
            if not hasattr(settings, name):
                raise UsageError(f"--{name.replace('_', '-')} does not apply to a {kind}.")
            settings = dataclasses.replace(settings, **{name: value})
    return settings


def density_of(run: GenerativeRun, settings: Any) -> Density:
    """What measures so.

    Raises:
      UsageError: if the model has no density.
    """
    density = run.density(settings)
    if density is None:
        raise UsageError(f"a {run.experiment.kind} has no likelihood.")
    return density


def in_fixed_steps(
    run: GenerativeRun, settings: Any, options: Likelihoods, steps: int
) -> tuple[Measured, dict[str, Any]]:
    """The likelihoods, and what the steps leave of error.

    Raises:
      UsageError: if the run is of no score model.
    """
    if not isinstance(run.experiment, ScoreExperiment):
        raise UsageError(f"--steps does not apply to a {run.experiment.kind}.")
    density = fixed_steps(cast(ScoreRun, run), settings)
    measured = evaluate(run, density(steps), options)
    few = dataclasses.replace(options, count=min(CHECKED, len(measured.nats)))
    finer = evaluate(run, density(2 * steps), few)
    return measured, {"step_error": root_mean_square_difference(measured, finer)}


def evaluate(run: GenerativeRun, density: Density, options: Likelihoods) -> Measured:
    """The likelihoods that were asked for."""
    return together(
        measure(
            density,
            run.params,
            run.source,
            options.split,
            key=jax.random.key(options.seed),
            count=options.count,
            batch_size=options.batch_size,
            mesh=data_mesh(),
        )
    )
