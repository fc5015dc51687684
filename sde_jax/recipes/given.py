"""Samples given conditions."""

from collections.abc import Callable

import jax

from sde_jax.arrays import Array, Int, Keys, PyTree
from sde_jax.nets import Condition
from sde_jax.recipes.interfaces import Draw, Given
from sde_jax.sampling import Sampler, Samples, draw_each
from sde_jax.score import ClassifierFreeGuidance, Score
from sde_jax.sde import LinearSDE


def score_sampler(
    score: Callable[..., Score],
    sde: LinearSDE,
    sampler: Sampler | None,
    shape: tuple[int, ...],
) -> Draw:
    """Returns the function that draws samples of ``shape`` by the score of its parameters, or given
    the conditions of a `Given`."""
    assert sampler is not None, "a score has no samples without a sampler"

    def draw(params: PyTree, keys: Keys, index: Int[Array, "batch"]) -> Samples:
        if not isinstance(params, Given):
            return sampler(keys, score(params), sde, shape)

        def one(key: Keys, condition: Condition) -> Samples:
            return sampler(key, guided(score, params, condition), sde, shape)

        rows = jax.tree.map(lambda row: row[index % len(row)], params.condition)
        return draw_each(one, keys, rows)

    return draw


def guided(score: Callable[..., Score], given: Given, condition: Condition) -> Score:
    """Returns the score given a condition, with guidance of the weight of ``given``."""
    conditional = score(given.params, condition)
    if given.weight is None:
        return conditional
    unconditional = score(given.params)
    return ClassifierFreeGuidance(
        conditional=conditional, unconditional=unconditional, weight=given.weight
    )
