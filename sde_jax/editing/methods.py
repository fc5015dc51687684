"""How a score model answers a measurement: by guidance of its score, or by known data."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, Float, Key
from sde_jax.operators import LinearOperator
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.sampling import Constrained, Constraint, PredictorCorrector, Samples
from sde_jax.score import DDNM, DPS, PiGDM, Score
from sde_jax.sde import LinearSDE

__all__ = ["DEFAULT", "METHODS", "MethodName", "Question", "answering"]

MethodName = Literal["replacement", "repaint", "ddnm", "pigdm", "dps"]

METHODS: dict[MethodName, SamplerSettings] = {
    "replacement": SamplerSettings(sampler="pc", steps=1000),
    "repaint": SamplerSettings(sampler="ancestral", steps=250),
    "ddnm": SamplerSettings(sampler="ddim", steps=100, grid="uniform", eta=0.85),
    "pigdm": SamplerSettings(sampler="ddim", steps=100, grid="uniform", eta=1.0),
    "dps": SamplerSettings(sampler="ancestral", steps=1000),
}
"""Each with its paper's sampler and number of steps."""

DEFAULT: MethodName = "pigdm"
REPEATS = 10
"""Of RePaint."""

MOST_NOISE = 8.0
"""noise_to_signal above which a network's Jacobian is not followed."""


class Question(NamedTuple):
    """What is asked of each example; arrays have a row for each."""

    measurement: Float[Array, "count *measured"]
    mask: Float[Array, "count height width 1"] | None
    """Where pixels are known, if that is the question."""


class Asking(NamedTuple):
    """How questions are to be read."""

    operator: Callable[[Question], LinearOperator]
    constraint: Callable[[Question], Constraint] | None
    """What is known of the answer, where that is part of it as it stands."""
    noise: float
    """Deviation of the measurement's noise, in model coordinates."""


def answering(
    method: MethodName, settings: SamplerSettings, asking: Asking, shape: tuple[int, ...]
) -> Callable[[Key[Array, "batch"], Score, LinearSDE, Question], Samples]:
    """What draws an answer to each question of a batch, of examples of ``shape``.

    Raises:
      UsageError: if the method cannot answer such questions, or not by such a sampler.
    """
    sampler = settings.build()
    if method in ("replacement", "repaint"):
        constraint = asking.constraint
        if constraint is None:
            raise UsageError(
                f"--method {method} needs known pixels or a known channel, as inpaint and colorize "
                f"have: use {', '.join(name for name in get_args(MethodName)[2:])}."
            )
        if asking.noise:
            raise UsageError(f"--noise does not apply to --method {method}: it knows exactly.")
        if not isinstance(sampler, PredictorCorrector):
            raise UsageError(
                f"--method {method} needs a sampler of single steps, such as pc, em, ancestral, "
                f"ddim or heun: got --sampler {settings.sampler}."
            )
        stepping, repeats = sampler, REPEATS if method == "repaint" else 1

        def constrained(
            keys: Key[Array, "batch"], score: Score, sde: LinearSDE, question: Question
        ) -> Samples:
            known = constraint(question)
            draw = Constrained(sampler=stepping, constraint=known, repeats=repeats)
            return draw(keys, score, sde, shape)

        return constrained

    def guided(
        keys: Key[Array, "batch"], score: Score, sde: LinearSDE, question: Question
    ) -> Samples:
        asked: dict[str, Any] = {
            "score": score,
            "sde": sde,
            "operator": asking.operator(question),
            "measurement": question.measurement,
        }
        high = jnp.minimum(sde.time_of(jnp.asarray(MOST_NOISE)), 1.0)
        guidance: Score
        if method == "dps":
            guidance = DPS(**asked, high=high)
        elif method == "pigdm":
            guidance = PiGDM(**asked, noise=asking.noise, high=high)
        else:
            guidance = DDNM(**asked, noise=asking.noise)
        samples = sampler(keys, guidance, sde, shape)
        if asking.constraint is None or asking.noise:
            return samples
        known = asking.constraint(question)
        return samples._replace(x=known.insert(known.data, samples.x))

    return guided
