"""Methods that sample given a measurement: guidance of the score, or known data."""

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax.numpy as jnp

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, Float, Keys
from sde_jax.editing.options import MethodName
from sde_jax.operators import LinearOperator
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.sampling import Constrained, Constraint, PredictorCorrector, Sampler, Samples
from sde_jax.score import DDNM, DPS, PiGDM, Score
from sde_jax.sde import LinearSDE

METHODS: dict[MethodName, SamplerSettings] = {
    "replacement": SamplerSettings(sampler="pc", steps=1000),
    "repaint": SamplerSettings(sampler="ancestral", steps=250),
    "ddnm": SamplerSettings(sampler="ddim", steps=100, grid="uniform", eta=0.85),
    "pigdm": SamplerSettings(sampler="ddim", steps=100, grid="uniform", eta=1.0),
    "dps": SamplerSettings(sampler="ancestral", steps=1000),
}
"""The methods, each with its paper's sampler and number of steps."""

REPEATS = 10
"""Repetitions of each step of RePaint."""

MOST_NOISE = 8.0
"""The noise_to_signal above which a network's Jacobian is not followed."""


class Measurement(NamedTuple):
    """A measurement of each example; arrays have a row for each."""

    values: Float[Array, "count *measured"]
    mask: Float[Array, "count height width 1"] | None
    """One where pixels are known, for inpainting."""


class InverseProblem(NamedTuple):
    """A linear inverse problem: how measurements come about."""

    operator: Callable[[Measurement], LinearOperator]
    constraint: Callable[[Measurement], Constraint] | None
    """The part of the answer that is known exactly, where there is one."""
    noise: float
    """Deviation of the measurement's noise, in model coordinates."""


Conditional = Callable[[Keys, Score, LinearSDE, Measurement], Samples]
"""Draws an example for each measurement of a batch."""


def conditional_sampler(
    method: MethodName, settings: SamplerSettings, problem: InverseProblem, shape: tuple[int, ...]
) -> Conditional:
    """Returns the function that draws an example of ``shape`` for each measurement of a batch.

    Raises:
      UsageError: if the method does not apply to such a problem or such a sampler.
    """
    if method in ("replacement", "repaint"):
        return _constrained(method, settings, problem, shape)
    return _guided(method, settings.build(), problem, shape)


def _constrained(
    method: MethodName, settings: SamplerSettings, problem: InverseProblem, shape: tuple[int, ...]
) -> Conditional:
    sampler, constraint = settings.build(), problem.constraint
    if constraint is None:
        raise UsageError(
            f"--method {method} needs known pixels or a known channel, as inpaint and colorize "
            f"have: use {', '.join(name for name in get_args(MethodName)[2:])}."
        )
    if problem.noise:
        raise UsageError(f"--noise does not apply to --method {method}: its data are exact.")
    if not isinstance(sampler, PredictorCorrector):
        raise UsageError(
            f"--method {method} needs a sampler of single steps, such as pc, em, ancestral, "
            f"ddim or heun: got --sampler {settings.sampler}."
        )
    repeats = REPEATS if method == "repaint" else 1

    def draw(keys: Keys, score: Score, sde: LinearSDE, measurement: Measurement) -> Samples:
        known = constraint(measurement)
        stepping = Constrained(sampler=sampler, constraint=known, repeats=repeats)
        return stepping(keys, score, sde, shape)

    return draw


def _guided(
    method: MethodName, sampler: Sampler, problem: InverseProblem, shape: tuple[int, ...]
) -> Conditional:
    def draw(keys: Keys, score: Score, sde: LinearSDE, measurement: Measurement) -> Samples:
        given: dict[str, Any] = {
            "score": score,
            "sde": sde,
            "operator": problem.operator(measurement),
            "measurement": measurement.values,
        }
        high = jnp.minimum(sde.time_of(jnp.asarray(MOST_NOISE)), 1.0)
        guidance: Score
        if method == "dps":
            guidance = DPS(**given, high=high)
        elif method == "pigdm":
            guidance = PiGDM(**given, noise=problem.noise, high=high)
        else:
            guidance = DDNM(**given, noise=problem.noise)
        samples = sampler(keys, guidance, sde, shape)
        if problem.constraint is None or problem.noise:
            return samples
        known = problem.constraint(measurement)
        return samples._replace(x=known.insert(known.data, samples.x))

    return draw
