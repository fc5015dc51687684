"""The mode of the density of a score model, by the gradient of its log density."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from sde_jax.arrays import Array, PRNGKeyArray, single_precision
from sde_jax.likelihood import MultistepLikelihood, even_times
from sde_jax.recipes.likelihood_settings import LikelihoodSettings
from sde_jax.runs.generation import draw_all
from sde_jax.runs.trained_run import ScoreRun

SAMPLES, STARTS = 256, 4
STEPS = 64
ITERATIONS = 200


class Maximum(NamedTuple):
    """A mode of a density."""

    x: np.ndarray
    """The mode ``[*shape]``, in the data's own unit."""
    nats: float
    """Its log density in that unit."""


@single_precision()
def find_maximum(run: ScoreRun, settings: LikelihoodSettings, key: PRNGKeyArray) -> Maximum:
    """Finds the mode of log p(data), within the range of 256 samples.

    L-BFGS-B (Byrd et al. 1995) climbs from the four samples of highest density. The density is that
    of `MultistepLikelihood` in 64 steps, whose gradient is exact for these steps.

    Raises:
      ValueError: if the data are integers, whose density has no gradient.
    """
    scaling = run.layout.scaling
    if scaling.dequantized:
        raise ValueError("`maximum` needs continuous data: those of this run are integers.")
    key_samples, key_probes = jax.random.split(key)
    draw = run.sample_fn(run.experiment.sampling)
    drawn = draw_all(draw, run.params, count=SAMPLES, batch_size=SAMPLES, key=key_samples)
    x = jnp.asarray(drawn.x[np.isfinite(drawn.x).reshape(SAMPLES, -1).all(axis=1)])
    measurement = run.experiment.measurement(run.layout, settings)
    times = even_times(run.experiment.sde, measurement.start, STEPS)
    likelihood = MultistepLikelihood(times=times, divergence=settings.divergence)
    score, sde = run.score, run.experiment.sde

    def log_density(x: Array) -> Array:
        keys = jnp.broadcast_to(key_probes, len(x))
        nats = likelihood(keys, score, sde, x).nats
        return nats + x[0].size * jnp.asarray(scaling.log_slope(x), jnp.float32)

    best = x[jnp.argsort(-jax.jit(log_density)(x))[:STARTS]]
    total = jax.jit(jax.value_and_grad(lambda x: -log_density(x).sum()))

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = total(jnp.asarray(flat.reshape(best.shape), jnp.float32))
        return float(value), np.asarray(slope, np.float64).ravel()

    bounds = np.stack([np.min(x, axis=0).ravel(), np.max(x, axis=0).ravel()], axis=1)
    found = scipy.optimize.minimize(
        objective,
        np.asarray(best, np.float64).ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=np.tile(bounds, (len(best), 1)),
        options={"maxiter": ITERATIONS},
    )
    ends = jnp.asarray(found.x.reshape(best.shape), jnp.float32)
    nats = np.asarray(jax.jit(log_density)(ends))
    top = int(nats.argmax())
    return Maximum(np.asarray(scaling.to_unit(ends))[top], float(nats[top]))
