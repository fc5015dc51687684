"""Likelihoods of a run in fixed steps, with an estimate of their error."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.data import TRAIN
from sde_jax.likelihood import MultistepLikelihood, even_times, fitted_times
from sde_jax.recipes.interfaces import Density, Measured
from sde_jax.recipes.likelihood_settings import LikelihoodSettings
from sde_jax.runs.trained_run import ScoreRun

PILOT_EXAMPLES, PILOT_STEPS = 16, 96
CHECKED = 16
"""Examples measured in twice as many steps, too."""


def fixed_steps(run: ScoreRun, settings: LikelihoodSettings) -> Callable[[int], Density]:
    """Returns a function of the number of steps that returns the density of the run's flow.

    ``settings`` say where it starts and how many probes it has. The steps lie where they are worth
    most for the first training examples.
    """
    sde, divergence = run.experiment.sde, settings.divergence
    measurement = run.experiment.measurement(run.layout, settings)
    even = even_times(sde, measurement.start, PILOT_STEPS)
    pilot = MultistepLikelihood(times=even)
    key_data, key_probe = jax.random.split(jax.random.key(0))
    batches = run.source.batches(key_data, TRAIN, PILOT_EXAMPLES, count=PILOT_EXAMPLES)
    x = jnp.asarray(next(batches).x)
    keys = jax.random.split(key_probe, len(x))
    bends = jax.jit(lambda score: pilot.integrand(keys, score, sde, x))(run.score)

    def density(steps: int) -> Density:
        times = fitted_times(sde, even, bends, steps)
        likelihood = MultistepLikelihood(times=times, divergence=divergence)
        return measurement.density(run.experiment.score, likelihood)

    return density


def root_mean_square_difference(measured: Measured, finer: Measured) -> float | None:
    """Returns the root mean square difference in bits per dimension over the examples that both
    measure; None if there are none."""
    count = len(finer.bits_per_dim)
    difference = measured.bits_per_dim[:count].astype(np.float64) - finer.bits_per_dim
    both = measured.converged[:count] & finer.converged
    return float(np.sqrt(np.mean(difference[both] ** 2))) if both.any() else None
