"""Computes likelihoods as score_sde does: scipy solves the flow on the host."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, sum_except_batch
from sde_jax.score import Score
from sde_jax.sde import LinearSDE, probability_flow_drift


def host_likelihood(
    score: Score, sde: LinearSDE, x: Array, probes: Array, t_min: float
) -> Callable[[float], tuple[np.ndarray, int]]:
    """Returns a function from a tolerance to the nats of ``x`` and the evaluations of each image.

    All images form one float64 vector, which `scipy.integrate.solve_ivp` integrates by RK45. An
    evaluation calls the device twice: for the drift, and for the gradient of its product with the
    probe. Together they cost three evaluations of the network.
    """
    from scipy.integrate import solve_ivp

    count, size = len(x), x.size

    @jax.jit
    def drift(score: Score, x: Array, t: Array) -> Array:
        return probability_flow_drift(sde, x, t, score(x, t))

    @jax.jit
    def divergence(score: Score, x: Array, t: Array) -> Array:
        _, gradient = jax.value_and_grad(lambda x: (drift(score, x, t) * probes).sum())(x)
        return sum_except_batch(gradient * probes)

    def field(t: float, state: np.ndarray) -> np.ndarray:
        images = jnp.asarray(state[:size].reshape(x.shape), x.dtype)
        times = jnp.full(count, t, x.dtype)
        velocity = np.asarray(drift(score, images, times), np.float64)
        return np.append(velocity, np.asarray(divergence(score, images, times), np.float64))

    def solve(tolerance: float) -> tuple[np.ndarray, int]:
        start = np.append(np.asarray(x, np.float64), np.zeros(count))
        options = {"method": "RK45", "rtol": tolerance, "atol": tolerance}
        with jax.default_matmul_precision("highest"):
            solution = solve_ivp(field, (t_min, 1.0), start, **options)
        latents, integrals = solution.y[:size, -1].reshape(count, -1), solution.y[size:, -1]
        normal = (latents / sde.prior_scale) ** 2 + math.log(2 * math.pi * sde.prior_scale**2)
        return integrals - normal.sum(axis=1) / 2, solution.nfev

    return solve
