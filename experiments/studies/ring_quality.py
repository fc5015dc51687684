"""Quality of the samples of a trained ring, with pictures of its process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.study import Report
from sde_jax import figures
from sde_jax.arrays import Array, Float, PRNGKeyArray
from sde_jax.data import TEST, Ring
from sde_jax.metrics import (
    fit_gaussian,
    frechet_distance,
    moments_of,
    sliced_wasserstein_2,
    wasserstein_1,
)
from sde_jax.runs import ScoreRun, draw_all, open_run
from sde_jax.sampling import Samples

COUNT = 10_000
SHOWN = 2000
SHOWN_TIMES = (0.0, 0.005, 0.02, 0.06, 0.2, 1.0)
FRAMES = 200
"""Frames of the reverse process; those nearest to the times shown are drawn."""

LIMITS = {"w2_squared": 2e-3, "radius_w1": 0.02, "angle_w1": 0.1, "sliced_w2": 0.06}
"""A few times the sampling noise of 10,000 points; see `controls` for what must exceed them."""


@dataclass(frozen=True, kw_only=True)
class RingQuality(Report):
    """Distances of 10,000 samples from held-out points, beside those of controls."""

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns the distances; draws ``process.png`` and ``vector_field.png``."""
        run = open_run(runs / self.run)
        data = next(run.source.batches(jax.random.key(0), TEST, COUNT)).x
        draw = run.sample_fn(run.experiment.sampling, frames=FRAMES)
        samples = draw_all(draw, run.params, count=COUNT, batch_size=COUNT)
        draw_pictures(run, data, samples, pictures)
        key = jax.random.key(0)
        return {
            "model": measures(jnp.asarray(samples.x), data),
            "limits": LIMITS,
            "controls": {name: measures(x, data) for name, x in controls(key, data).items()},
        }


def measures(x: Float[Array, "count 2"], data: Float[Array, "count 2"]) -> dict[str, float]:
    """Returns distances of samples from data.

    ``w2_squared`` is the squared Wasserstein-2 distance of the fitted Gaussians, which a blob of
    the ring's covariance reaches as well; the Wasserstein-1 distances of radius and angle and the
    sliced Wasserstein-2 distance see the ring.
    """
    return {
        "w2_squared": frechet_distance(*(fit_gaussian(moments_of(z)) for z in (x, data))).value,
        "radius_w1": float(wasserstein_1(*(jnp.linalg.norm(z, axis=1) for z in (x, data)))),
        "angle_w1": float(wasserstein_1(*(jnp.arctan2(z[:, 1], z[:, 0]) for z in (x, data)))),
        "sliced_w2": float(sliced_wasserstein_2(jax.random.key(0), x, data)),
    }


def controls(key: PRNGKeyArray, data: Float[Array, "count 2"]) -> dict[str, Array]:
    """Returns samples of known quality: other data, a blob of its covariance, and half of it."""
    key_blob, key_fresh = jax.random.split(key)
    fresh = jax.vmap(Ring().sample)(jax.random.split(key_fresh, len(data))).x
    noise = jax.random.normal(key_blob, data.shape)
    root = jnp.linalg.cholesky(jnp.cov(data, rowvar=False))
    blob = data.mean(axis=0, keepdims=True) + noise @ root.T
    collapsed = data * jnp.where(data[:, :1] > 0, 1, -1)
    return {"fresh_data": fresh, "blob": blob, "collapsed": collapsed}


def draw_pictures(run: ScoreRun, data: Array, samples: Samples, pictures: Path) -> None:
    """Draws the forward process, the reverse process, and the learned score over noised data."""
    sde, shown = run.experiment.sde, data[:SHOWN]

    def noised(t: Array, seed: int) -> np.ndarray:
        noise = jax.random.normal(jax.random.key(seed), shown.shape)
        return np.asarray(sde.alpha(t) * shown + sde.sigma(t) * noise)

    forward = [(t, noised(jnp.asarray(t), seed)) for seed, t in enumerate(SHOWN_TIMES)]
    trajectory = np.asarray(samples.trajectory)[:SHOWN]
    times = np.asarray(samples.trajectory_times)[0]
    nearest = [int(np.abs(times - t).argmin()) for t in reversed(SHOWN_TIMES)]
    reverse = [(float(times[n]), trajectory[:, n]) for n in nearest]
    figures.point_frames({"forward": forward, "reverse": reverse}, pictures / "process.png")
    figures.vector_field(jax.device_get(run.score), forward[1:-1], pictures / "vector_field.png")
