"""Options of ``sde-jax likelihood RUN``."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sde_jax.arguments import RunPath, check_counts, check_seed, option
from sde_jax.command_line.parsing import parse
from sde_jax.data.splits import TEST
from sde_jax.recipes.likelihood_settings import LEAST_STEPS, LikelihoodSettings
from sde_jax.runs.data_place import DataPlace
from sde_jax.validation import check_effects, shown

MOST_STEPS = 10**6


@dataclass(frozen=True, kw_only=True)
class Likelihoods:
    """Measures the likelihood of data under a trained run, a score model's by its probability
    flow."""

    run: RunPath
    split: str = TEST
    """The split to measure: test or train."""
    count: Annotated[int | None, option("INT", "all")] = None
    """Examples to measure, the first ones of the split."""
    settings: Annotated[Any, tyro.conf.arg(name="")] = LikelihoodSettings()
    steps: Annotated[int | Literal["auto"] | None, option("INT|auto", "the solver chooses")] = None
    """Fixed steps of one evaluation each, placed for the run, instead of an adaptive solver; score
    models only. Fifty leave an error of about .001 bits, in half of the evaluations or fewer. The
    error that training images share is removed, and an estimate of the rest is printed. auto
    measures the mean alone: all examples in 16 steps, and as few in more steps as --stderr
    needs."""
    stderr: Annotated[float | None, option("BITS", "a tenth of the error over examples")] = None
    """The error that the solver may add to the mean with `--steps auto`."""
    condition: Annotated[Path | None, option("FILE", "those of the examples")] = None
    """Conditions of the examples, of a run that was trained with some: a file of numbers with a row
    for all or one for each."""
    data: DataPlace = DataPlace()
    batch_size: int = 256
    """Examples measured at once; a result does not depend on it."""
    seed: int = 0
    """Seed of dequantization and probes."""
    out: Annotated[Path | None, option("FILE", "none is written")] = None
    """The .csv file, a line for each example, which must not exist."""

    def __post_init__(self) -> None:
        check_counts(count=self.count, batch_size=self.batch_size)
        check_seed(self.seed)
        if isinstance(self.steps, int) and self.steps < LEAST_STEPS:
            raise ValueError(f"--steps must be at least {LEAST_STEPS}: got {self.steps}.")
        if isinstance(self.steps, int) and self.steps > MOST_STEPS:
            raise ValueError(f"--steps must be at most {MOST_STEPS:,}: got {shown(self.steps)}.")
        if self.stderr is not None and self.steps != "auto":
            raise ValueError("--stderr has no effect unless --steps is auto.")
        if self.stderr is not None and not 0 < self.stderr < math.inf:
            raise ValueError(f"--stderr must be positive and finite: got {self.stderr}.")
        if self.out is not None and self.steps == "auto":
            raise ValueError(
                "--steps auto measures the mean alone, without a line of --out for "
                "each example: state a number of steps."
            )


def parsed(args: list[str], run: Path, experiment: Any) -> Likelihoods:
    """Parses arguments for a run, with the defaults of its experiment.

    Raises:
      ValueError: if an option that is given has no effect.
    """
    default = Likelihoods(run=run, settings=experiment.likelihood)
    options = parse(Likelihoods, args, "sde-jax likelihood", default, run=run)
    if options.settings is not None:
        check_effects(options.settings, default.settings)
    return options
