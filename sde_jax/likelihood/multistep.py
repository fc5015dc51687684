"""Exact likelihoods in fixed steps of one evaluation of the score."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import (
    Array,
    Bool,
    Examples,
    Float,
    Int,
    Keys,
    PRNGKeyArray,
    as_examples,
    precision_of,
)
from sde_jax.likelihood.adaptive import (
    Divergence,
    Hutchinson,
    log_likelihoods,
    value_and_traces,
)
from sde_jax.likelihood.results import LogLikelihoods
from sde_jax.ode import AdamsTable, adams_table, combine
from sde_jax.randomness import draw_prior, each_key, split_keys
from sde_jax.score import Score
from sde_jax.sde import LinearSDE
from sde_jax.validation import Rule, Spec

# Posterior means by which a state is extrapolated; the correction adds one. Three were no better.
_ORDER = 2
# The density of steps follows this power of the integrand's curvature. It was chosen on networks of
# digits and MNIST. A third would equalize the errors of parabolas, but states have errors, too.
_POWER = 0.6
_LEAST_DENSITY = 0.1
_SMOOTHING = 4
_RISING = Rule(
    "be at least 3, begin above 0, rise and end at 1; `even_times` returns such",
    lambda t: len(t) >= 3 and t[0] > 0 and t[-1] == 1 and all(np.diff(t) > 0),
)


class _State(NamedTuple):
    """The state of an example before the evaluation at a time."""

    y: Float[Array, "*shape"]
    """Extrapolated to that time; ``x / alpha``."""
    evaluated: Float[Array, "*shape"]
    """``y`` of the previous evaluation, before its correction."""
    begun: Float[Array, "*shape"]
    """``kept y`` of the previous step."""
    means: Float[Array, "order *shape"]
    """Posterior means, latest first."""
    trace: Float[Array, "probes"]
    slope: Float[Array, "probes"]
    """Of the trace, in the previous step."""
    integral: Float[Array, "probes"]


class _Path(NamedTuple):
    """The end of the path of an example, and what was gained along it."""

    corrected: Float[Array, "*shape"]
    """The last state, corrected by the evaluation there."""
    evaluated: Float[Array, "*shape"]
    """The last state before its correction."""
    gains: Float[Array, "probes"]
    """Of log density per dimension: integrals of div f."""
    integrand: Float[Array, "times probes"]
    nfe: Int[Array, ""]
    finite: Bool[Array, ""]


@dataclass(frozen=True, kw_only=True)
class MultistepLikelihood(Spec):
    """Computes log densities under the probability flow in fixed steps of one evaluation.

    With ``l = log(sigma / alpha)`` as time and ``noise = -sigma score``, `Likelihood` computes

    ::

        log p(x(t_min)) = log N(x(1); 0, prior_scale^2)
                          + D [log alpha(1) - log alpha(t_min) + integral of q dl]
        q = sigma tr(d noise / dx) / D

    The integrand q is about 0 where there is little noise and about 1 where there is mostly noise.
    The linear part of the flow is solved exactly (as in i-DODE, Zheng et al. 2023,
    arXiv:2305.03935). States follow the corrected `ExponentialAdams` of order 2, and q is
    integrated by a parabola through its last three values. So a step takes one evaluation, while
    one of an adaptive Runge-Kutta pair takes three or six. These steps do not estimate their error:
    compare with twice as many. All of it runs at the highest matmul precision and in the type of
    the examples.

    The density can be differentiated in both modes, with respect to examples, parameters and
    condition. Reverse mode keeps one state of each step and evaluates the score there again, so
    that its memory does not grow with the score's activations.

    Raises:
      ValueError: when called, unless the examples are floating-point numbers with a key for each.
    """

    times: Annotated[tuple[float, ...], _RISING]
    """From t_min up to 1, as `fitted_times` or `even_times` return them."""
    divergence: Divergence = Hutchinson()

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, x: Examples) -> LogLikelihoods:
        """Returns log densities of ``x``, in model coordinates; ``keys`` draw the probes."""
        path = self._follow(keys, score, sde, as_examples("x", x), self.times)
        return log_likelihoods(
            self.divergence, sde, path.corrected, path.gains, path.nfe, path.finite
        )

    def sample_and_log_density(
        self, keys: Keys, score: Score, sde: LinearSDE, shape: tuple[int, ...]
    ) -> tuple[Examples, LogLikelihoods]:
        """Draws a sample of ``shape`` per key and its log density, in one pass from the prior.

        The samples are those of ``ExponentialAdams(order=2, orders="full", end="state")`` for the
        same keys and times, up to rounding. One more evaluation, at the sample, completes the
        density. One half of each key, ``jax.random.split(key)[0]``, draws the prior, the other
        draws the probes.
        """
        key_prior, key_probes = split_keys(keys)
        latent = draw_prior(key_prior, sde, shape, precision_of(score))
        path = self._follow(key_probes, score, sde, latent, self.times[::-1])
        return path.evaluated, log_likelihoods(
            self.divergence, sde, latent, -path.gains, path.nfe, path.finite
        )

    def integrand(
        self, keys: Keys, score: Score, sde: LinearSDE, x: Examples
    ) -> Float[Array, "batch times"]:
        """Returns q at all times, averaged over the probes."""
        path = self._follow(keys, score, sde, as_examples("x", x), self.times)
        return path.integrand.mean(axis=-1)

    def _follow(
        self, keys: Keys, score: Score, sde: LinearSDE, x: Examples, times: tuple[float, ...]
    ) -> _Path:
        """Follows the flow from states at the first of ``times`` to the last."""
        keys = each_key(keys, len(x))
        t = jnp.asarray(times, x.dtype)
        levels = sde.noise_to_signal(t)
        steps = jnp.diff(jnp.log(levels))
        table = adams_table(levels, _ORDER, np.minimum(_ORDER, 1 + np.arange(len(steps))))

        def follow(key: PRNGKeyArray, x: Array) -> _Path:
            plan = _Plan(
                score=score,
                times=t,
                alphas=sde.alpha(t),
                sigmas=sde.sigma(t),
                steps=steps,
                table=table,
                vectors=self.divergence.vectors(key, x.size),
            )
            advance = jax.checkpoint(plan.advance, prevent_cse=False)
            last, traces = jax.lax.scan(advance, plan.begin(x), jnp.arange(len(t)))
            gains = sde.log_alpha(t[-1]) - sde.log_alpha(t[0]) + last.integral
            return _Path(
                corrected=plan.alphas[-1] * last.y,
                evaluated=plan.alphas[-1] * last.evaluated,
                gains=gains,
                integrand=traces,
                nfe=jnp.asarray(len(t)),
                finite=jnp.isfinite(last.y).all() & jnp.isfinite(gains).all(),
            )

        with jax.default_matmul_precision("highest"):
            return jax.vmap(follow)(keys, x)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The coefficients of the steps and the probes of an example."""

    score: Score
    times: Float[Array, "times"]
    alphas: Float[Array, "times"]
    sigmas: Float[Array, "times"]
    steps: Float[Array, "steps"]
    """Step lengths in log(sigma / alpha)."""
    table: AdamsTable
    vectors: Float[Array, "probes terms dimension"]

    def begin(self, x: Float[Array, "*shape"]) -> _State:
        nothing, none = jnp.zeros_like(x), jnp.zeros(len(self.vectors), x.dtype)
        means = jnp.stack([nothing] * _ORDER)
        y = x / self.alphas[0]
        return _State(y, y, nothing, means, none, none, none)

    def advance(self, state: _State, index: Array) -> tuple[_State, Array]:
        """Evaluates at a time, corrects the previous step and predicts the next one."""
        before, after = jnp.maximum(index - 1, 0), jnp.minimum(index, len(self.steps) - 1)
        mean, trace = self._evaluate(self.alphas[index] * state.y, index)
        means = jnp.concatenate([mean[None], state.means])
        corrected = state.begun + combine(self.table.corrections[before], means)
        y = jnp.where(index > 0, corrected, state.y)
        begun = self.table.kept[after] * y
        predicted = begun + combine(self.table.weights[after], means[:-1])

        length, length_before = self.steps[before], self.steps[jnp.maximum(index - 2, 0)]
        slope = (trace - state.trace) / length
        bend = jnp.where(index > 1, slope - state.slope, 0.0) / (length + length_before)
        area = state.trace * length + slope * length**2 / 2 - bend * length**3 / 6
        following = _State(
            y=jnp.where(index < len(self.steps), predicted, y),
            evaluated=state.y,
            begun=begun,
            means=means[:-1],
            trace=trace,
            slope=slope,
            integral=state.integral + jnp.where(index > 0, area, 0.0),
        )
        return following, trace

    def _evaluate(self, x: Array, index: Array) -> tuple[Array, Array]:
        """Returns the posterior mean and the trace."""
        sigma = self.sigmas[index]

        def noise(x: Array) -> Array:
            return (-sigma * self.score(x[None], self.times[index])[0]).astype(x.dtype)

        value, traces = value_and_traces(noise, x, self.vectors)
        return (x - sigma * value) / self.alphas[index], sigma * traces / x.size


def even_times(sde: LinearSDE, t_min: float, steps: int) -> tuple[float, ...]:
    """Returns ``steps + 1`` times from ``t_min`` to 1, equally spaced in log(sigma / alpha).

    Raises:
      ValueError: if the process has no noise at ``t_min``, or ``t_min`` is not below 1.
    """
    return _times_at(sde, t_min, lambda least, most: np.linspace(least, most, steps + 1))


def fitted_times(
    sde: LinearSDE, times: tuple[float, ...], integrand: Float[Array, "batch times"], steps: int
) -> tuple[float, ...]:
    """Returns ``steps + 1`` times that lie closest where the integrand bends most.

    Args:
      sde: the process.
      times: the times of the integrand, from `even_times`.
      integrand: `MultistepLikelihood.integrand` of some examples at these times.
      steps: the number of steps.
    """
    q = np.asarray(integrand, np.float64)
    bends = np.sqrt((np.diff(q, 2, axis=1) ** 2).mean(axis=0))
    reach = 3 * _SMOOTHING
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SMOOTHING) ** 2)
    padded = np.pad(bends, reach + 1, mode="edge")
    smooth = np.convolve(padded, window / window.sum(), mode="valid")
    density = smooth**_POWER
    density = density + _LEAST_DENSITY * density.mean()
    share = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])

    def place(least: float, most: float) -> np.ndarray:
        levels = np.linspace(least, most, len(times))
        return np.interp(np.linspace(0, share[-1], steps + 1), share, levels)

    return _times_at(sde, times[0], place)


def _times_at(
    sde: LinearSDE, t_min: float, place: Callable[[float, float], np.ndarray]
) -> tuple[float, ...]:
    """Returns the times at which log(sigma / alpha) has the values given by ``place``."""
    least, most = (float(sde.noise_to_signal(jnp.asarray(t))) for t in (t_min, 1.0))
    if not 0 < least < most:
        raise ValueError(f"`t_min` must be below 1, where {sde} has noise: got t_min={t_min}.")
    levels = place(math.log(least), math.log(most))[1:-1]
    inner = np.asarray(sde.time_of(jnp.exp(jnp.asarray(levels, jnp.float32))))
    return (float(t_min), *inner.tolist(), 1.0)
