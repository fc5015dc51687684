"""The mode of the density of a score model, by the gradient of its log density."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from sde_jax.arrays import Array, PRNGKeyArray, single_precision
from sde_jax.likelihood import MultistepLikelihood, even_times
from sde_jax.nets import Condition
from sde_jax.recipes.likelihood_settings import LikelihoodSettings
from sde_jax.runs.conditions import given
from sde_jax.runs.generation import draw_all
from sde_jax.runs.trained_run import ScoreRun

SAMPLES, STARTS = 256, 4
STEPS = 64
ITERATIONS = 200


class Maximum(NamedTuple):
    """A mode of a density, or the modes given several conditions."""

    x: np.ndarray
    """The mode ``[*shape]``, in the data's own unit; of several conditions ``[rows, *shape]``."""
    nats: Any
    """Its log density in that unit."""


def find_maximum(
    run: ScoreRun, condition: Any, settings: LikelihoodSettings, key: PRNGKeyArray
) -> Maximum:
    """Finds the mode given a condition, the modes given several, or that without any, as
    `find_maxima` does.

    Raises:
      ValueError: as `find_maxima`, or if ``condition`` does not fit the run.
    """
    rows = 1 if condition is None else max(np.shape(condition)[:1], default=1)
    run = given(run, condition, count=rows, of="modes")
    several = np.ndim(condition) > (run.experiment.network.vector is not None)
    found = find_maxima(run, settings, key)
    return found if several else Maximum(found.x[0], float(found.nats[0]))


@single_precision()
def find_maxima(run: ScoreRun, settings: LikelihoodSettings, key: PRNGKeyArray) -> Maximum:
    """Finds the mode of log p(data), or that given each condition of the run, within the range of
    256 samples.

    L-BFGS-B (Byrd et al. 1995) climbs from the four samples of highest density. The density is that
    of `MultistepLikelihood` in 64 steps, whose gradient is exact for these steps.

    Returns:
      The modes with a leading axis, of length one without conditions.

    Raises:
      ValueError: if the data are integers, whose density has no gradient.
    """
    if run.layout.scaling.dequantized:
        raise ValueError("`maximum` needs continuous data: those of this run are integers.")
    key_samples, key_probes = jax.random.split(key)
    draw = run.sample_fn(run.experiment.sampling)
    log_density = jax.jit(density_of(run, settings, key_probes))
    total = jax.jit(jax.value_and_grad(lambda x, *given: -log_density(x, *given).sum()))
    found = []
    for row in conditions_of(run):
        inputs = dataclasses.replace(run, condition=row[0]).inputs if row else run.params
        drawn = draw_all(draw, inputs, count=SAMPLES, batch_size=SAMPLES, key=key_samples)
        x = jnp.asarray(drawn.x[np.isfinite(drawn.x).reshape(SAMPLES, -1).all(axis=1)])
        best = x[jnp.argsort(-log_density(x, *row))[:STARTS]]
        ends = climb(lambda x, row=row: total(x, *row), best, x)
        nats = np.asarray(log_density(ends, *row))
        found.append((np.asarray(ends)[nats.argmax()], nats.max()))
    modes, heights = map(np.stack, zip(*found, strict=True))
    return Maximum(np.asarray(run.layout.scaling.to_unit(jnp.asarray(modes))), heights)


def conditions_of(run: ScoreRun) -> list[tuple[Condition, ...]]:
    """Returns each row of the run's condition as a batch of one; or nothing, once."""
    if run.condition is None:
        return [()]
    rows, structure = jax.tree.flatten(run.condition)
    return [
        (jax.tree.unflatten(structure, [column[j : j + 1] for column in rows]),)
        for j in range(len(rows[0]))
    ]


def density_of(
    run: ScoreRun, settings: LikelihoodSettings, key: PRNGKeyArray
) -> Callable[..., Array]:
    """Returns the log density of model coordinates in the data's unit, given one condition or
    none."""
    measurement = run.experiment.measurement(run.layout, settings)
    times = even_times(run.experiment.sde, measurement.start, STEPS)
    likelihood = MultistepLikelihood(times=times, divergence=settings.divergence)
    score, scaling = run.score, run.layout.scaling

    def log_density(x: Array, *given: Condition) -> Array:
        keys = jnp.broadcast_to(key, len(x))
        # The likelihood evaluates one example at a time.
        known = dataclasses.replace(score, condition=given[0]) if given else score
        nats = likelihood(keys, known, run.experiment.sde, x).nats
        return nats + x[0].size * jnp.asarray(scaling.log_slope(x), jnp.float32)

    return log_density


def climb(total: Callable[[Array], tuple[Array, Array]], starts: Array, samples: Array) -> Array:
    """Returns the minima of a sum over points that start at ``starts``, within the range of the
    samples; ``total`` returns the sum and its gradient."""

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = total(jnp.asarray(flat.reshape(starts.shape), jnp.float32))
        return float(value), np.asarray(slope, np.float64).ravel()

    bounds = np.stack([np.min(samples, axis=0).ravel(), np.max(samples, axis=0).ravel()], axis=1)
    found = scipy.optimize.minimize(
        objective,
        np.asarray(starts, np.float64).ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=np.tile(bounds, (len(starts), 1)),
        options={"maxiter": ITERATIONS},
    )
    return jnp.asarray(found.x.reshape(starts.shape), jnp.float32)
