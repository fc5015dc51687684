"""Likelihoods of a run in fixed steps, without the error that all examples share."""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Examples, Float, Keys, PyTree
from sde_jax.data import TRAIN
from sde_jax.likelihood import (
    LogLikelihoods,
    MultistepLikelihood,
    even_times,
    fitted_times,
)
from sde_jax.nets import Condition
from sde_jax.recipes.interfaces import Density
from sde_jax.recipes.likelihood_settings import LikelihoodSettings
from sde_jax.recipes.protocols import flow_density
from sde_jax.runs.trained_run import ScoreRun

PILOT_EXAMPLES, PILOT_STEPS = 16, 96
FINER = 4
"""Steps by which the error is measured, as a multiple of those that make it."""


class CommonError(NamedTuple):
    """The error of fixed steps in bits per dimension, as pilot examples show it."""

    mean: float
    """The part that all examples share."""
    left: float
    """Root mean square of the error of an example without that part; NaN if unknown."""


@dataclass(frozen=True)
class FixedSteps:
    """Densities of a run's flow in numbers of steps, which lie where they are worth most."""

    run: ScoreRun
    settings: LikelihoodSettings
    pilots: Examples
    """The first training examples."""
    keys: Keys
    """Keys of their probes and noise."""
    conditions: tuple[Condition, ...]
    """Their own conditions, for conditional densities; empty for others."""
    even: tuple[float, ...]
    """Times of ``bends``."""
    bends: Float[Array, "pilots times"]
    """`MultistepLikelihood.integrand` of the pilots."""

    def density(self, steps: int) -> Density:
        """Returns the density in so many steps."""
        return self._density(self.settings, steps)

    def corrected(self, steps: int) -> tuple[Density, CommonError]:
        """Returns the density without the error that all examples share, and that error."""
        error, density = self.common_error(steps), self.density(steps)
        bit = math.prod(self.run.layout.shape) * math.log(2)

        def without(
            params: PyTree, keys: Keys, x: Examples, *condition: Condition
        ) -> LogLikelihoods:
            found = density(params, keys, x, *condition)
            return found._replace(nats=found.nats + error.mean * bit)

        return without, error

    def common_error(self, steps: int) -> CommonError:
        """Returns the error of so many steps against four times as many, of the pilots."""
        one = dataclasses.replace(self.settings, samples=1, probes=1)
        pilots = self.run.params, self.keys, self.pilots, *self.conditions
        coarse, fine = (
            jax.jit(self._density(one, count))(*pilots) for count in (steps, FINER * steps)
        )
        bit = math.prod(self.run.layout.shape) * math.log(2)
        return shared_error(np.asarray(fine.nats - coarse.nats, np.float64) / bit)

    def _density(self, settings: LikelihoodSettings, steps: int) -> Density:
        times = fitted_times(self.run.experiment.sde, self.even, self.bends, steps)
        likelihood = MultistepLikelihood(times=times, divergence=settings.divergence)
        measurement = self.run.measurement(settings)
        return measurement.density(self.run.experiment.score, likelihood)


def fixed_steps(run: ScoreRun, settings: LikelihoodSettings) -> FixedSteps:
    """Places steps for the run's flow by its first training examples.

    ``settings`` say where it starts and how many probes it has.
    """
    sde = run.experiment.sde
    even = even_times(sde, run.measurement(settings).start, PILOT_STEPS)
    pilot = MultistepLikelihood(times=even)
    key_data, key_probe = jax.random.split(jax.random.key(0))
    batches = run.source.batches(key_data, TRAIN, PILOT_EXAMPLES, count=PILOT_EXAMPLES)
    batch = next(batches)
    x = jnp.asarray(batch.x)
    keys = jax.random.split(key_probe, len(x))
    conditional = run.condition is not None or run.experiment.needs_condition
    conditions = (run.experiment.own_condition(batch),) if conditional else ()
    integrand = flow_density(run.experiment.score, sde, pilot.integrand)
    bends = jax.jit(integrand)(run.params, keys, x, *conditions)
    return FixedSteps(run, settings, x, keys, conditions, even, bends)


def shared_error(errors: np.ndarray) -> CommonError:
    """Returns the mean of errors of examples, and the error that is left without it.

    The latter is their deviation, the error of their mean, and what the finer steps leave: a
    fifteenth of the mean, as the steps are of second order. Errors that are not finite are left
    out.
    """
    known = errors[np.isfinite(errors)]
    if len(known) < 2:
        return CommonError(0.0, math.nan)
    mean, variance = float(known.mean()), float(known.var(ddof=1))
    remainder = mean / (FINER**2 - 1)
    return CommonError(mean, math.sqrt(variance * (1 + 1 / len(known)) + remainder**2))
