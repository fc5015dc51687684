"""Is the divergence of the probability flow cheaper by forward or by reverse mode?

    python -m benchmarks.divergence

Times one evaluation of drift and ``v.J v`` for a batch of 8x8 images, each with its own probe, and
checks that both modes agree. Prints a row of the table in README.md.
"""

import statistics
import subprocess
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.digits_vp import experiment
from sde_jax.arrays import Array
from sde_jax.score import NetworkScore
from sde_jax.sde import probability_flow_drift

BATCH = 128
REPEATS = 9


def forward_mode(drift: Callable[[Array], Array], x: Array, probe: Array) -> tuple[Array, Array]:
    """Drift, and the quadratic form by a Jacobian-vector product."""
    velocity, product = jax.jvp(drift, (x,), (probe,))
    return velocity, jnp.vdot(probe, product)


def reverse_mode(drift: Callable[[Array], Array], x: Array, probe: Array) -> tuple[Array, Array]:
    """Drift, and the quadratic form by a vector-Jacobian product."""
    velocity, pull_back = jax.vjp(drift, x)
    return velocity, jnp.vdot(probe, pull_back(probe)[0])


def main() -> None:
    """Measures both in turn and prints a row."""
    shape, t = (8, 8, 1), jnp.asarray(0.3)
    model = experiment.model()
    params = model.init(jax.random.key(0), shape)
    noise = jax.random.split(jax.random.key(1), len(jax.tree.leaves(params)))
    params = jax.tree.map(
        lambda p, key: p + 0.05 * jax.random.normal(key, p.shape),
        params,
        jax.tree.unflatten(jax.tree.structure(params), noise),
    )
    score = NetworkScore(params, model)
    x = jax.random.normal(jax.random.key(2), (BATCH, *shape))
    probes = jax.random.rademacher(jax.random.key(3), x.shape, x.dtype)

    def evaluate(mode: Callable, score: NetworkScore, x: Array, probes: Array) -> Array:
        def one(x: Array, probe: Array) -> tuple[Array, Array]:
            def drift(x: Array) -> Array:
                return probability_flow_drift(experiment.sde, x[None], t, score(x[None], t))[0]

            return mode(drift, x, probe)

        return jax.vmap(one)(x, probes)[1]

    modes = (forward_mode, reverse_mode)
    compiled = [
        jax.jit(evaluate, static_argnums=0).lower(m, score, x, probes).compile() for m in modes
    ]
    results = [np.asarray(f(score, x, probes)) for f in compiled]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-3, atol=1e-3)
    seconds: list[list[float]] = [[], []]
    for _ in range(REPEATS):
        for f, row in zip(compiled, seconds, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(f(score, x, probes))
            row.append(time.perf_counter() - start)
    forward, reverse = (statistics.median(row) * 1e3 for row in seconds)
    ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    device = jax.devices()[0]
    print(
        f"| divergence, batch {BATCH} of 8x8 | {forward:.0f} ms | {reverse:.0f} ms | {ratio:.2f} | "
        f"{device.device_kind} | {jax.__version__} | {commit.stdout.strip()} |"
    )


if __name__ == "__main__":
    main()
