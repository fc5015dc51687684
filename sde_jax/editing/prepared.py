"""A task that is ready to be drawn, and helpers of all tasks."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, Float, PyTree
from sde_jax.editing.options import EditOptions
from sde_jax.metrics import mean_estimate
from sde_jax.recipes.interfaces import Draw
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.runs.measurement import plain

Columns = Mapping[str, Float[np.ndarray, "rows k height width channels"]]


class Prepared(NamedTuple):
    """A task that is ready to be drawn."""

    how: str
    """The method, in a few words for a file's name."""
    rows: int
    """The number of measurements."""
    draws: int
    """The number of draws of each."""
    draw: Draw
    params: PyTree
    given: Columns
    """Pictures that are shown before the answers."""
    title: str
    """The title of the answers."""
    truth: Columns
    """Pictures that are shown after them."""
    findings: Callable[[Float[Array, "rows k height width channels"]], dict[str, Any]]
    """Computes the results of the answers."""
    calls: int = 1
    """Calls of the network in an evaluation of the score."""


def chosen(options: EditOptions, default: SamplerSettings) -> SamplerSettings:
    """Returns the default sampler, or the one of the options, with times that are not fitted.

    Raises:
      UsageError: if it is that of a published model.
      ValueError: if the options have steps and the sampler has none.
    """
    if options.sampler == "published":
        raise UsageError("--sampler published does not apply to edit.")
    if options.sampler not in (None, default.sampler):
        default = SamplerSettings().switched(options.sampler)
    default = default.resolved(fits=False)
    if options.steps is None:
        return default
    settings = dataclasses.replace(default, steps=options.steps)
    settings.check_changes(default)
    return settings


def column(images: Array) -> np.ndarray:
    """Returns a column of one image in each row."""
    return np.asarray(images)[:, None]


def estimate(values: Float[np.ndarray, "count answers"]) -> dict[str, Any]:
    """Averages over the answers of each image, then over images, with the standard error.

    Numbers that are not finite become None: the error of a single image, the PSNR of an answer that
    equals its truth.
    """
    found = mean_estimate(values.mean(axis=1))
    return {"value": plain(found.value), "stderr": plain(found.stderr), "count": values.size}
