"""The mean likelihood of a split, in as few evaluations as its error needs."""

import functools

import jax
import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.recipes.likelihood_settings import LikelihoodSettings
from sde_jax.runs.conditions import condition_of
from sde_jax.runs.measurement import concatenate, measure
from sde_jax.runs.multilevel import MultilevelMean, multilevel_mean
from sde_jax.runs.steps import fixed_steps
from sde_jax.runs.trained_run import ScoreRun


def mean_likelihood(
    run: ScoreRun,
    settings: LikelihoodSettings,
    split: str,
    *,
    count: int | None,
    seed: int,
    batch_size: int,
    wanted: float | None = None,
) -> tuple[MultilevelMean, int]:
    """Returns the mean bits per dimension of the first ``count`` examples (None: all), by
    `multilevel_mean`, and how many they are.

    Args:
      run: the run of a score model.
      settings: a protocol by the probability flow.
      split: the split.
      count: the number of examples.
      seed: fixes dequantization, probes and the examples of the finer levels.
      batch_size: examples measured at once.
      wanted: the error to be added by the solver; None for a tenth of that over examples.

    Raises:
      UsageError: for fewer than two examples, or one without a likelihood.
      ValueError: if 512 steps leave more than the wanted error.
    """
    size = run.source.sizes[split]
    size = size if count is None else min(size, count)
    if size < 2:
        raise UsageError("the mean needs two examples or more.")
    density = functools.cache(fixed_steps(run, settings).density)

    def bits(steps: int, chosen: np.ndarray) -> np.ndarray:
        parts = measure(
            density(steps),
            run.params,
            run.source,
            split,
            key=jax.random.key(seed),
            count=None,
            batch_size=batch_size,
            chosen=chosen,
            condition_of=functools.partial(condition_of, run),
        )
        measured = concatenate(parts)
        if not measured.converged.all():
            failed = ", ".join(map(str, chosen[~measured.converged]))
            raise UsageError(f"example {failed} has no likelihood in {steps} steps.")
        return measured.bits_per_dim

    return multilevel_mean(bits, size, np.random.default_rng(seed), wanted), size
