"""How long does the likelihood of an image take beside scipy on the host, at equal error?

Both have the same network, images, probes and start, t = 1e-5. Errors are those to a solve by ours
at a tolerance of 3e-6, which one by the peer must confirm. Each is timed at the loosest tolerance
that leaves a given error, of the network also at the one that score_sde has, 1e-5, beside ours at
no larger an error; and so are fixed steps, in the fewest that do, which are placed once for a run.
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

from benchmarks.few_steps import mixture
from benchmarks.host_likelihood import on_the_host
from benchmarks.row import Asked, Row
from benchmarks.timing import Compiled, compiled, paired
from experiments.digits import digits_vp
from sde_jax.arrays import Array
from sde_jax.likelihood import Likelihood, LogLikelihoods, bits_per_dimension
from sde_jax.ode import AdaptiveSolver, Method
from sde_jax.recipes.interfaces import Density
from sde_jax.recipes.score import LikelihoodSettings
from sde_jax.runs.fixed_steps import fixed_steps
from sde_jax.runs.trained_run import ScoreRun, open_run
from sde_jax.score import MixtureScore, Score
from sde_jax.training.devices import data_mesh

__all__ = ["rows"]

SDE, T_MIN = digits_vp().sde, Likelihood().t_min
TOLERANCES = tuple(10 ** (-k / 4) for k in range(10, 21))
"""From 3e-3 to 1e-5."""
PUBLISHED, TIGHT = 1e-5, 3e-6
STEPS = (20, 25, 30, 35, 42, 50, 60, 70, 84, 100, 120, 140, 168, 200)
COARSE = slice(None, None, 3)
"""What --quick tries of both."""
ERROR = 1e-3
"""Root mean square of the errors of images, in bits per dimension, at which methods are timed."""
AT_LEAST = {"cpu": 4.0, "gpu": 10.0}


class Tuned(NamedTuple):
    """A method as it is set, and its error, a root mean square in bits per dimension."""

    solve: Callable[[], object]
    setting: str
    error: float
    nfe: float
    program: Compiled | None

    def __str__(self) -> str:
        return f"{self.error:.1e} in {self.nfe:.0f} evaluations{self.setting}"


@dataclass(frozen=True)
class Images:
    """Images whose likelihood is asked for, under a network."""

    name: str
    score: Score
    x: Array
    method: Method
    """The pair of ours that asks the fewest evaluations there."""

    @property
    def keys(self) -> Array:
        """Of the probes."""
        return jax.random.split(jax.random.key(1), len(self.x))

    @functools.cached_property
    def host(self) -> Callable[[float], tuple[np.ndarray, int]]:
        """The peer, with the probes of ours."""
        draw, dimension = Likelihood().divergence.vectors, self.x[0].size
        probes = jax.vmap(lambda key: draw(key, dimension))(self.keys).reshape(self.x.shape)
        return on_the_host(self.score, SDE, self.x, probes, T_MIN)

    @functools.cached_property
    def reference(self) -> np.ndarray:
        """Bits per dimension."""
        run = dataclasses.replace(self, method="tsit5").program(TIGHT).call
        found = self.bits(converged(run(self.score, self.keys, self.x)).nats)
        difference = root_mean_square(found - self.bits(self.host(TIGHT)[0]))
        if not difference < ERROR / 2:
            raise ValueError(f"two tight solves of {self.name} differ by {difference:.1e} bits/dim")
        return found

    def program(self, tolerance: float) -> Compiled:
        """Ours at this tolerance."""
        likelihood = Likelihood(
            solver=AdaptiveSolver(rtol=tolerance, atol=tolerance, method=self.method)
        )

        def run(score: Score, keys: Array, x: Array) -> LogLikelihoods:
            return likelihood(keys, score, SDE, x)

        return compiled(run, self.score, self.keys, self.x)

    def bits(self, nats: Array | np.ndarray) -> np.ndarray:
        """Bits per dimension of the levels."""
        return np.asarray(bits_per_dimension(nats, self.x[0].size, math.log(2 / 17)))

    def ours(self, tolerance: float) -> Tuned:
        """`Likelihood` on the device, at this tolerance."""
        return self._tuned(self.program(tolerance), self.score, at(tolerance))

    def in_steps(self, run: ScoreRun, density: Callable[[int], Density], steps: int) -> Tuned:
        """Ours in fixed steps."""
        program = compiled(density(steps), run.params, self.keys, self.x)
        return self._tuned(program, run.params, "")

    def _tuned(self, program: Compiled, given: Any, setting: str) -> Tuned:
        """A program of ours, of a score or parameters, keys and images."""
        solve = functools.partial(program.call, given, self.keys, self.x)
        result = converged(solve())
        error = root_mean_square(self.bits(result.nats) - self.reference)
        return Tuned(solve, setting, error, float(result.nfe.mean()), program)

    def theirs(self, tolerance: float) -> Tuned:
        """The peer at this tolerance."""
        nats, nfe = self.host(tolerance)
        error = root_mean_square(self.bits(nats) - self.reference)
        return Tuned(lambda: self.host(tolerance), at(tolerance), error, nfe, None)


def at(tolerance: float) -> str:
    """What a table says of it."""
    return f" at tolerance {tolerance:.0e}"


def converged(result: LogLikelihoods) -> LogLikelihoods:
    """The result, in which every solve has converged."""
    if not result.converged.all():
        raise ValueError(f"{int((~result.converged).sum())} solves did not converge.")
    return result


def root_mean_square(error: np.ndarray) -> float:
    """Over the images."""
    return math.sqrt((error**2).mean())


def loosest(method: Callable[[Any], Tuned], settings: Iterable[Any], error: float) -> Tuned:
    """The method with the first of the settings that leaves no larger an error."""
    for setting in settings:
        tuned = method(setting)
        if tuned.error <= error:
            return tuned
    raise ValueError(f"no setting leaves less than {error:.1e} bits/dim: {tuned}.")


def rows(asked: Asked) -> Iterator[Row]:
    """At equal errors, of an exact score and of a trained network."""
    count, repeats = (8, 1) if asked.quick else (64, 5)
    batches = digits_vp().data.load().batches(jax.random.key(0), "test", count, count=count)
    x = jnp.asarray(next(batches).x)
    exact = MixtureScore(mixture(), SDE)
    drawn = exact.mixture.sample(jax.random.key(2), count).reshape(x.shape)
    yield from compared(Images(f"{count} points, exact score", exact, drawn, "tsit5"), repeats)
    run = None if asked.runs is None else asked.runs / "digits_vp"
    name = f"{count} digits, trained"
    if run is not None and run.is_dir():
        trained = open_run(run, data_mesh())
        yield from compared(Images(name, trained.score, x, "bosh3"), repeats, trained)
    else:
        remedy = "no --runs with digits_vp; sde-jax train digits_vp"
        yield Row(case=name, unit="s/image", peer="scipy RK45", missing=remedy, checked="")


def compared(images: Images, repeats: int, run: ScoreRun | None = None) -> Iterator[Row]:
    """Ours beside the peer; of a network also in fixed steps, placed by training images."""
    goal = f"errors below {ERROR:g} bits/dim"
    tried = COARSE if repeats == 1 else slice(None)
    peer = loosest(images.theirs, TOLERANCES[tried], ERROR)
    yield beside(images, goal, loosest(images.ours, TOLERANCES[tried], ERROR), peer, repeats)
    if run is None:
        return
    backend = "cpu" if jax.default_backend() == "cpu" else "gpu"
    density = fixed_steps(run, LikelihoodSettings(t_min=T_MIN))
    in_steps = functools.partial(images.in_steps, run, density)
    cases = [(goal, ERROR, peer)]
    if repeats > 1:
        published = images.theirs(PUBLISHED)
        name = f"the error of the peer's tolerance {PUBLISHED:g}"
        cases.append((name, published.error, published))
    for what, error, theirs in cases:
        ours = loosest(in_steps, STEPS[tried], error)
        name = f"{what}, fixed steps"
        yield beside(images, name, ours, theirs, repeats, AT_LEAST[backend])


def beside(
    images: Images,
    what: str,
    ours: Tuned,
    theirs: Tuned,
    repeats: int,
    at_least: float | None = None,
) -> Row:
    """One comparison."""
    pairs = paired(ours.solve, theirs.solve, repeats=repeats, warm_up=0)
    share = 1 / len(images.x)
    return Row(
        case=f"{images.name}, {what}",
        unit="s/image",
        ours=pairs.ours.scaled(share),
        peer="scipy RK45 on the host, two passes",
        theirs=pairs.theirs.scaled(share),
        ratio=pairs.ratio,
        at_least=at_least,
        checked=f"rms error {ours}; the peer's {theirs}",
        compile_seconds=ours.program and ours.program.seconds,
        peak_bytes=ours.program and ours.program.peak_bytes,
    )
