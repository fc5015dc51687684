"""Measures the time of an image's likelihood against scipy on the host, at equal error.

    python -m benchmarks likelihood --runs RUNS

Both solvers use the same network, images, probes and start, t = 1e-5. Errors are differences from
our solve at tolerance 3e-6, which a solve of the peer at that tolerance must confirm. Each solver
is timed at its loosest tolerance within a given error. For the network, fixed steps, which are
placed once for a run, are timed in their fewest steps within that error and within the error of
score_sde's tolerance, 1e-5.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from benchmarks.few_steps import mixture
from benchmarks.row import BenchmarkOptions, Row
from benchmarks.timing import CompiledProgram, compile_program, time_pairs
from experiments.digits import digits_vp
from sde_jax.arrays import Array, sum_except_batch
from sde_jax.likelihood import Likelihood, LogLikelihoods, bits_per_dimension
from sde_jax.ode import AdaptiveSolver, Method
from sde_jax.recipes import Density, LikelihoodSettings
from sde_jax.runs import ScoreRun, fixed_steps, open_run
from sde_jax.score import MixtureScore, Score
from sde_jax.sde import LinearSDE, probability_flow_drift

SDE, T_MIN = digits_vp().sde, Likelihood().t_min
TOLERANCES = tuple(10 ** (-k / 4) for k in range(10, 21))
"""Tolerances that are tried, from 3e-3 to 1e-5."""
PUBLISHED, TIGHT = 1e-5, 3e-6
STEPS = (20, 25, 30, 35, 42, 50, 60, 70, 84, 100, 120, 140, 168, 200)
COARSE = slice(None, None, 3)
"""Part of the tolerances and steps that --quick tries."""
ERROR = 1e-3
"""Root mean square error over images at which methods are timed, in bits per dimension."""
AT_LEAST = {"cpu": 4.0, "gpu": 10.0}


class TunedMethod(NamedTuple):
    """A method with its setting and its root mean square error in bits per dimension."""

    solve: Callable[[], object]
    setting: str
    error: float
    nfe: float
    program: CompiledProgram | None

    def __str__(self) -> str:
        return f"{self.error:.1e} in {self.nfe:.0f} evaluations{self.setting}"


@dataclass(frozen=True)
class Images:
    """Images whose likelihood is computed, and the score."""

    name: str
    score: Score
    x: Array
    method: Method
    """Our Runge-Kutta pair with the fewest evaluations for this score."""

    @property
    def keys(self) -> Array:
        """Keys of the probes."""
        return jax.random.split(jax.random.key(1), len(self.x))

    @functools.cached_property
    def host(self) -> Callable[[float], tuple[np.ndarray, int]]:
        """The peer's solve, with our probes."""
        draw, dimension = Likelihood().divergence.vectors, self.x[0].size
        probes = jax.vmap(lambda key: draw(key, dimension))(self.keys).reshape(self.x.shape)
        return host_likelihood(self.score, SDE, self.x, probes, T_MIN)

    @functools.cached_property
    def reference(self) -> np.ndarray:
        """Bits per dimension by a tight solve."""
        run = dataclasses.replace(self, method="tsit5").program(TIGHT).call
        bits = self.bits(check_converged(run(self.score, self.keys, self.x)).nats)
        difference = root_mean_square(bits - self.bits(self.host(TIGHT)[0]))
        if not difference < ERROR / 2:
            raise ValueError(f"two tight solves of {self.name} differ by {difference:.1e} bits/dim")
        return bits

    def program(self, tolerance: float) -> CompiledProgram:
        """Compiles our adaptive solver at this tolerance."""
        likelihood = Likelihood(
            solver=AdaptiveSolver(rtol=tolerance, atol=tolerance, method=self.method)
        )

        def run(score: Score, keys: Array, x: Array) -> LogLikelihoods:
            return likelihood(keys, score, SDE, x)

        return compile_program(run, self.score, self.keys, self.x)

    def bits(self, nats: Array | np.ndarray) -> np.ndarray:
        """Converts nats to bits per dimension of the grey levels."""
        return np.asarray(bits_per_dimension(nats, self.x[0].size, math.log(2 / 17)))

    def adaptive(self, tolerance: float) -> TunedMethod:
        """Measures the error of our adaptive solver at this tolerance."""
        return self._tuned(self.program(tolerance), self.score, at(tolerance))

    def fixed(self, run: ScoreRun, density: Callable[[int], Density], steps: int) -> TunedMethod:
        """Measures the error of our solver in fixed steps."""
        program = compile_program(density(steps), run.params, self.keys, self.x)
        return self._tuned(program, run.params, "")

    def _tuned(self, program: CompiledProgram, weights: Any, setting: str) -> TunedMethod:
        """Runs one of our programs, on a score or its parameters, and measures its error."""
        solve = functools.partial(program.call, weights, self.keys, self.x)
        result = check_converged(solve())
        error = root_mean_square(self.bits(result.nats) - self.reference)
        return TunedMethod(solve, setting, error, float(result.nfe.mean()), program)

    def peer(self, tolerance: float) -> TunedMethod:
        """Measures the error of the peer at this tolerance."""
        nats, nfe = self.host(tolerance)
        error = root_mean_square(self.bits(nats) - self.reference)
        return TunedMethod(lambda: self.host(tolerance), at(tolerance), error, nfe, None)


def at(tolerance: float) -> str:
    """Formats a tolerance for the table."""
    return f" at tolerance {tolerance:.0e}"


def check_converged(result: LogLikelihoods) -> LogLikelihoods:
    """Returns the result, or raises ValueError if a solve did not converge."""
    if not result.converged.all():
        raise ValueError(f"{int((~result.converged).sum())} solves did not converge.")
    return result


def root_mean_square(errors: np.ndarray) -> float:
    """Returns the root mean square over the images."""
    return math.sqrt((errors**2).mean())


def loosest(
    method: Callable[[Any], TunedMethod], settings: Iterable[Any], error: float
) -> TunedMethod:
    """Returns the method with the first setting whose error does not exceed ``error``."""
    for setting in settings:
        tuned = method(setting)
        if tuned.error <= error:
            return tuned
    raise ValueError(f"no setting has an error below {error:.1e} bits/dim: {tuned}.")


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Compares at equal error, with an exact score and with a trained network."""
    count, repeats = (8, 1) if options.quick else (64, 5)
    batches = digits_vp().data.load().batches(jax.random.key(0), "test", count, count=count)
    x = jnp.asarray(next(batches).x)
    exact = MixtureScore(mixture(), SDE)
    points = exact.mixture.sample(jax.random.key(2), count).reshape(x.shape)
    yield from compare(Images(f"{count} points, exact score", exact, points, "tsit5"), repeats)
    run = None if options.runs is None else options.runs / "digits_vp"
    name = f"{count} digits, trained"
    if run is not None and run.is_dir():
        trained = open_run(run)
        yield from compare(Images(name, trained.score, x, "bosh3"), repeats, trained)
    else:
        remedy = "no --runs with digits_vp; sde-jax train digits_vp"
        yield Row(case=name, unit="s/image", peer="scipy RK45", missing=remedy, checked="")


def compare(images: Images, repeats: int, run: ScoreRun | None = None) -> Iterator[Row]:
    """Compares with the peer; a trained run also in fixed steps, placed and corrected by training
    images."""
    goal = f"errors below {ERROR:g} bits/dim"
    tried = COARSE if repeats == 1 else slice(None)
    peer = loosest(images.peer, TOLERANCES[tried], ERROR)
    yield row(images, goal, loosest(images.adaptive, TOLERANCES[tried], ERROR), peer, repeats)
    if run is None:
        return
    backend = "cpu" if jax.default_backend() == "cpu" else "gpu"
    steps = fixed_steps(run, LikelihoodSettings(t_min=T_MIN))
    fixed = functools.partial(images.fixed, run, lambda count: steps.corrected(count)[0])
    cases = [(goal, ERROR, peer)]
    if repeats > 1:
        published = images.peer(PUBLISHED)
        name = f"the error of the peer's tolerance {PUBLISHED:g}"
        cases.append((name, published.error, published))
    for name, error, theirs in cases:
        ours = loosest(fixed, STEPS[tried], error)
        yield row(images, f"{name}, fixed steps", ours, theirs, repeats, AT_LEAST[backend])


def row(
    images: Images,
    name: str,
    ours: TunedMethod,
    theirs: TunedMethod,
    repeats: int,
    at_least: float | None = None,
) -> Row:
    """Times two tuned methods."""
    return Row(
        case=f"{images.name}, {name}",
        unit="s/image",
        peer="scipy RK45 on the host, two passes",
        **time_pairs(ours.solve, theirs.solve, repeats=repeats, warm_up=0).times(1 / len(images.x)),
        at_least=at_least,
        checked=f"rms error {ours}; the peer's {theirs}",
        **(ours.program.costs() if ours.program else {}),
    )


def host_likelihood(
    score: Score, sde: LinearSDE, x: Array, probes: Array, t_min: float
) -> Callable[[float], tuple[np.ndarray, int]]:
    """Returns a function from a tolerance to the nats of ``x`` and the evaluations of each image.

    All images form one float64 vector, which `scipy.integrate.solve_ivp` integrates by RK45. An
    evaluation calls the device twice: for the drift, and for the gradient of its product with the
    probe. Together they cost three evaluations of the network.
    """
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
