"""Measures the time of a thousand log densities of an exact score, at equal error.

    python -m benchmarks densities

All solve the probability flow of one VP process from t = 1e-5 with exact traces, in float32. The
score is that of a mixture of ten Gaussians in 64 dimensions. The error is the root mean square
difference from our adaptive solve in float64 at tolerance 1e-9; the closed form of the mixture
confirms it up to the prior. Each solver is timed at its loosest setting within the error. The peers
are a continuous normalizing flow of diffrax as in its documentation, the same with adaptive steps,
and in PyTorch flow_matching's `compute_likelihood` and zuko's `FreeFormJacobianTransform`.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.few_steps import mixture
from benchmarks.peer_process import PeerProcess
from benchmarks.row import BenchmarkOptions, Row, not_installed
from benchmarks.timing import CompiledProgram, compile_program, time_pairs
from sde_jax.arrays import Array
from sde_jax.likelihood import ExactTrace, Likelihood
from sde_jax.ode import AdaptiveSolver
from sde_jax.score import GaussianMixture, MixtureScore
from sde_jax.sde import VP, probability_flow_drift

SDE, T_MIN = VP(), 1e-5
ERROR = 1e-3
"""Root mean square error of a log density at which solvers are timed, in nats."""
TOLERANCES = tuple(10 ** (-k / 4) for k in range(8, 29))
"""Tolerances that are tried, from 1e-2 to 1e-7."""
STEPS = (25, 50, 100, 200, 400, 800)
"""Numbers of equal steps of time, likewise."""
PRIOR_ERROR = 0.05
"""Largest root mean square difference in nats between the flow's density and the closed form."""
TORCH = ("flow_matching", "zuko")
CASE = "log densities of an exact score, 64 dimensions, rms error below 1e-3 nats"


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Compares our adaptive solver with each peer."""
    count, repeats = (32, 1) if options.quick else (1000, 3)
    exact, reference = reference_densities(count)
    x = exact.astype(np.float32)
    ours, setting = loosest(TOLERANCES, our_flow, x, reference)
    fields: dict[str, Any] = {"case": f"{count:,} {CASE}", "unit": "s", "at_least": 10.0}

    def row(theirs: Callable[[], Any] | PeerProcess, name: str, how: str) -> Row:
        timed = time_pairs(lambda: ours.call(x), theirs, repeats=repeats, warm_up=0)
        checked = f"rms error {setting}; the peer's {how}"
        return Row(**fields, peer=name, **timed.times(1.0), checked=checked, **ours.costs())

    for name, settings, build in (
        ("diffrax, Tsit5 in equal steps", STEPS, in_equal_steps),
        ("diffrax, Tsit5, adaptive", TOLERANCES, in_adaptive_steps),
    ):
        theirs, how = loosest(settings, build, x, reference)
        yield row(functools.partial(theirs.call, x), name, how)
    arrays = tuple(np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(mixture()))
    parameters = (arrays, SDE.beta_min, SDE.beta_max, T_MIN)
    for library in TORCH:
        arguments = (library, parameters, x, reference, TOLERANCES, ERROR)
        try:
            peer = PeerProcess("torch", "benchmarks.torch_densities", "loosest", *arguments)
        except ModuleNotFoundError as error:
            yield Row(**fields, peer=library, missing=not_installed(error), checked="")
            continue
        with peer:
            yield row(peer, library, peer.name)


def reference_densities(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns examples and their log densities under the flow, in float64.

    Raises:
      AssertionError: if they differ from the closed form by more than the prior explains.
    """
    with jax.enable_x64(True):
        exact = mixture()
        x = exact.sample(jax.random.key(0), count)
        solver = AdaptiveSolver(rtol=1e-9, atol=1e-9, method="tsit5", max_steps=100_000)
        likelihood = Likelihood(t_min=T_MIN, solver=solver, divergence=ExactTrace())
        keys = jax.random.split(jax.random.key(1), count)
        nats = jax.jit(lambda x: likelihood(keys, MixtureScore(exact, SDE), SDE, x).nats)(x)
        closed = exact.log_density(SDE, x, jnp.full(count, T_MIN))
        difference = root_mean_square(nats - closed)
        assert difference < PRIOR_ERROR, f"{difference:.1e} nats from the closed form"
        return np.asarray(x), np.asarray(nats)


def root_mean_square(errors: Any) -> float:
    """Returns the root mean square of the errors."""
    return math.sqrt((np.asarray(errors, np.float64) ** 2).mean())


def loosest(
    settings: tuple[Any, ...],
    build: Callable[[Any], Callable[[Array], Array]],
    x: np.ndarray,
    reference: np.ndarray,
) -> tuple[CompiledProgram, str]:
    """Returns the first setting whose error is small enough, compiled, and its description.

    Raises:
      AssertionError: if none is.
    """
    for setting in settings:
        program = compile_program(build(setting), x)
        error = root_mean_square(program.call(x) - reference)
        if error <= ERROR:
            return program, f"{error:.1e} at {setting:.3g}"
    raise AssertionError(f"no setting reaches {ERROR} nats: {error:.1e} at {setting}")


def our_flow(tolerance: float) -> Callable[[Array], Array]:
    """Returns our log density at a tolerance."""
    solver = AdaptiveSolver(rtol=tolerance, atol=tolerance, method="tsit5")
    likelihood = Likelihood(t_min=T_MIN, solver=solver, divergence=ExactTrace())
    score = MixtureScore(single(), SDE)

    def density(x: Array) -> Array:
        return likelihood(jax.random.split(jax.random.key(0), len(x)), score, SDE, x).nats

    return density


def in_equal_steps(steps: int) -> Callable[[Array], Array]:
    """Returns diffrax's log density in so many equal steps of time, as documented."""
    return diffrax_flow(diffrax.ConstantStepSize(), (1 - T_MIN) / steps)


def in_adaptive_steps(tolerance: float) -> Callable[[Array], Array]:
    """Returns diffrax's log density at a tolerance."""
    return diffrax_flow(diffrax.PIDController(rtol=tolerance, atol=tolerance), None)


def diffrax_flow(
    controller: diffrax.AbstractStepSizeController, first_step: float | None
) -> Callable[[Array], Array]:
    """Returns the log density by the recipe of diffrax: the trace of a Jacobian by rows."""
    score = MixtureScore(single(), SDE)

    def drift(t: Array, x: Array) -> Array:
        return probability_flow_drift(SDE, x[None], t[None], score(x[None], t[None]))[0]

    def field(t: Array, state: tuple[Array, Array], args: Any) -> tuple[Array, Array]:
        value, pull_back = jax.vjp(lambda x: drift(t, x), state[0])
        (jacobian,) = jax.vmap(pull_back)(jnp.eye(len(value)))
        return value, jnp.trace(jacobian)

    def density(x: Array) -> Array:
        solution = diffrax.diffeqsolve(
            *(diffrax.ODETerm(field), diffrax.Tsit5()),
            *(T_MIN, 1.0, first_step, (x, jnp.zeros(()))),
            stepsize_controller=controller,
            max_steps=100_000,
        )
        latent, integral = (leaf[-1] for leaf in solution.ys)
        return integral - (latent**2 + math.log(2 * math.pi)).sum() / 2

    return jax.vmap(density)


def single() -> GaussianMixture:
    """Returns the mixture in float32."""
    return jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), mixture())
