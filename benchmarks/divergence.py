"""Compares the cost of the probability flow's divergence in forward and in reverse mode.

    python -m benchmarks divergence

A call evaluates drift and ``v.J v`` for a batch of 8x8 images, each with its own probe. Several
probes in one call are also compared with one call per probe.
"""

import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import BenchmarkOptions, Row
from benchmarks.timing import compile_program, time_pairs
from experiments.digits import digits_vp
from sde_jax.arrays import Array
from sde_jax.score import NetworkScore
from sde_jax.sde import probability_flow_drift

SHAPE = (8, 8, 1)
PROBES = 4

Drift = Callable[[Array], Array]
Mode = Callable[[Drift, Array, Array], tuple[Array, Array]]
"""Returns the drift of an image and the quadratic form of each of several probes."""


def perturbed_score() -> NetworkScore:
    """Builds the network of the digits with random weights; a new one's last layer is zero."""
    model = digits_vp().model()
    params = model.init(jax.random.key(0), SHAPE)
    noise = jax.random.split(jax.random.key(1), len(jax.tree.leaves(params)))
    params = jax.tree.map(
        lambda p, key: p + 0.05 * jax.random.normal(key, p.shape),
        params,
        jax.tree.unflatten(jax.tree.structure(params), noise),
    )
    return NetworkScore(params, model)


def forward_mode(drift: Drift, x: Array, probes: Array) -> tuple[Array, Array]:
    """Computes Jacobian-vector products, as `Likelihood` does."""

    def push_forward(probe: Array) -> tuple[Array, Array]:
        velocity, product = jax.jvp(drift, (x,), (probe,))
        return velocity, jnp.vdot(probe, product)

    return jax.vmap(push_forward, out_axes=(None, 0))(probes)


def reverse_mode(drift: Drift, x: Array, probes: Array) -> tuple[Array, Array]:
    """Computes vector-Jacobian products."""
    velocity, pull_back = jax.vjp(drift, x)
    return velocity, jax.vmap(lambda probe: jnp.vdot(probe, pull_back(probe)[0]))(probes)


def linearized(drift: Drift, x: Array, probes: Array) -> tuple[Array, Array]:
    """Linearizes the drift once by `jax.linearize`."""
    velocity, push_forward = jax.linearize(drift, x)
    return velocity, jax.vmap(lambda probe: jnp.vdot(probe, push_forward(probe)))(probes)


def evaluate(mode: Mode, score: NetworkScore, x: Array, probes: Array) -> tuple[Array, Array]:
    """Returns drifts and quadratic forms of all images, each at its own time."""

    def one(t: Array, x: Array, probes: Array) -> tuple[Array, Array]:
        def drift(x: Array) -> Array:
            return probability_flow_drift(digits_vp().sde, x[None], t, score(x[None], t))[0]

        return mode(drift, x, probes)

    return jax.vmap(one)(jnp.linspace(0.1, 0.9, len(x)), x, probes)


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Compares forward mode with the other two, and several probes with single ones."""
    batch, repeats = (16, 5) if options.quick else (128, 15)
    score = perturbed_score()
    x = jax.random.normal(jax.random.key(2), (batch, *SHAPE))
    probes = jax.random.rademacher(jax.random.key(3), (batch, PROBES, *SHAPE), x.dtype)

    def program(mode: Mode, count: int) -> Callable[..., tuple[Array, Array]]:
        first = probes[:, :count]
        call = compile_program(functools.partial(evaluate, mode), score, x, first).call
        return lambda some=first: call(score, x, some)

    one, many = program(forward_mode, 1), program(forward_mode, PROBES)

    def one_by_one() -> tuple[Array, Array]:
        results = [one(probes[:, i : i + 1]) for i in range(PROBES)]
        return results[0][0], jnp.concatenate([forms for _, forms in results], axis=1)

    for count, ours, peer, theirs in (
        (1, one, "one vjp", program(reverse_mode, 1)),
        (PROBES, many, "one vjp", program(reverse_mode, PROBES)),
        (PROBES, many, "linearize once", program(linearized, PROBES)),
        (PROBES, many, "one probe after the other", one_by_one),
    ):
        case = f"forward mode, {batch} images, probes of each: {count}"
        yield compare(case, ours, peer, theirs, repeats)


def compare(
    case: str,
    ours: Callable[[], tuple[Array, Array]],
    peer: str,
    theirs: Callable[[], tuple[Array, Array]],
    repeats: int,
) -> Row:
    """Compares two calls, whose results must agree."""
    results, expected = map(jax.device_get, (ours(), theirs()))
    for result, other in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, other, rtol=1e-3, atol=1e-3)
    difference = np.abs(results[1] - expected[1]).max() / np.abs(expected[1]).max()
    return Row(
        case=case,
        unit="ms",
        peer=peer,
        **time_pairs(ours, theirs, repeats=repeats).times(1000),
        checked=f"quadratic forms agree to {difference:.0e} of the largest",
    )
