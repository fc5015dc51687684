"""Settings of a run, changed by keyword arguments."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from sde_jax.recipes.likelihood_settings import LEAST_STEPS
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.serialization import check_type, hints_of

Settings = TypeVar("Settings")


def with_settings(spec: Settings, settings: Mapping[str, Any]) -> Settings:
    """Replaces fields of a spec, which is None where nothing can be set.

    Raises:
      ValueError: if the spec has no such field, or a value is of another type or out of range.
    """
    known = hints_of(type(spec)) if spec is not None else {}
    for name, value in settings.items():
        if name not in known:
            listed = f"its settings are {', '.join(known)}" if known else "it has no settings"
            raise ValueError(f"`{name}` is not a setting of this run: {listed}.")
        check_type(value, known[name], name)
    return dataclasses.replace(spec, **settings) if settings else spec  # type: ignore[type-var]


def sampler_settings(
    default: SamplerSettings | None, settings: Mapping[str, Any]
) -> SamplerSettings | None:
    """Returns the settings of the sampler that ``settings`` name, with its own defaults.

    Raises:
      ValueError: as `with_settings`, or if the sampler does not have one of them.
    """
    if default is None:
        return with_settings(default, settings)
    own = default.switched(settings.get("sampler", default.sampler))
    chosen = with_settings(own, settings)
    chosen.check_options(settings)
    return chosen


def check_fixed(steps: int, settings: Mapping[str, Any]) -> None:
    """Raises ValueError for too few steps, and for settings of the adaptive solver."""
    if steps < LEAST_STEPS:
        raise ValueError(f"`steps` must be at least {LEAST_STEPS}: got {steps}.")
    for name in ("tolerance", "method"):
        if name in settings:
            raise ValueError(f"`{name}` is of the adaptive solver and does not apply to `steps`.")
