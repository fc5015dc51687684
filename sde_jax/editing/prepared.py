"""A task that is ready to be drawn, and what all tasks do alike."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, Float, PyTree
from sde_jax.editing.options import EditOptions
from sde_jax.metrics import mean_estimate
from sde_jax.recipes.interfaces import Draw
from sde_jax.recipes.sampler_settings import DEFAULTS, OPTIONS, SamplerSettings

__all__ = ["Columns", "Prepared", "chosen", "column", "estimate"]

Columns = Mapping[str, Float[np.ndarray, "rows k height width channels"]]


class Prepared(NamedTuple):
    """A task that is ready to be drawn."""

    how: str
    """Of its draws, in a few words for a file's name."""
    rows: int
    """Questions."""
    draws: int
    """Of each question."""
    draw: Draw
    params: PyTree
    given: Columns
    """What is shown before the answers."""
    title: str
    """Of the answers."""
    truth: Columns
    """What is shown after them."""
    findings: Callable[[Float[Array, "rows k height width channels"]], dict[str, Any]]
    """What is told of the answers."""
    calls: int = 1
    """Of the network, in an evaluation of the score."""


def chosen(options: EditOptions, default: SamplerSettings) -> SamplerSettings:
    """The default sampler, or the one that was asked for.

    Raises:
      UsageError: if steps are asked of one that has none, or it is that of a published model.
    """
    if options.sampler == "published":
        raise UsageError("--sampler published does not apply to edit.")
    name = options.sampler or default.sampler
    if name != default.sampler:
        default = SamplerSettings(sampler=name, **DEFAULTS.get(name, {}))
    if options.steps is None:
        return default
    if "steps" not in OPTIONS[name]:
        raise UsageError(f"--steps does not apply to --sampler {name}.")
    return dataclasses.replace(default, steps=options.steps)


def column(images: Array) -> np.ndarray:
    """A column of one image in each row."""
    return np.asarray(images)[:, None]


def estimate(values: Float[np.ndarray, "count answers"]) -> dict[str, Any]:
    """The mean and its standard error over images, of each of which answers are averaged.

    None where one is not a number: the error of a single image, the PSNR of one that is its truth.
    """
    found = mean_estimate(values.mean(axis=1))
    value, stderr = (number if math.isfinite(number) else None for number in found[:2])
    return {"value": value, "stderr": stderr, "count": values.size}
