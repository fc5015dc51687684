"""Tests of the table of samplers: its names, its options, and what a change of sampler keeps."""

import dataclasses
from typing import get_args

import pytest

from sde_jax.recipes.sampler_settings import (
    GRIDS,
    MOST_FITTED,
    SAMPLERS,
    GridName,
    SamplerName,
    SamplerSettings,
)
from sde_jax.sampling import DDIM, KarrasGrid, LogSNRGrid, LowPrecision, UniformGrid

FIELDS = {field.name for field in dataclasses.fields(SamplerSettings)}


def test_the_tables_hold_every_name():
    assert tuple(SAMPLERS) == get_args(SamplerName)
    assert tuple(GRIDS) == get_args(GridName)
    assert len({entry.title for entry in SAMPLERS.values()}) == len(SAMPLERS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_options_are_fields_and_each_sampler_is_built(name):
    settings = SamplerSettings(snr=0.3, churn=1.0).switched(name)
    assert set(settings.options()) <= FIELDS - {"sampler"}
    if name == "published":
        with pytest.raises(ValueError, match="of no published model"):
            settings.build()
    else:
        assert settings.build(frames=3).frames == 3


def test_another_sampler_has_its_own_defaults_and_the_rest_of_the_settings():
    settings = SamplerSettings(sampler="em", steps=300, tolerance=1e-3, eta=0.5)
    assert settings.switched("em") is settings
    assert settings.switched("pc").options() == {"steps": 300, "snr": 0.16}
    assert settings.switched("ode").options() == {"tolerance": 1e-3}
    assert settings.switched("shark").options() == {"tolerance": 0.05}
    assert settings.switched("ddim").options() == {"steps": 50, "grid": "auto", "eta": 0.5}
    assert settings.switched("heun").options() == {"steps": 17, "grid": "karras", "churn": 0.0}
    assert settings.switched("unipc").options() == {"steps": 20, "grid": "auto"}


def test_what_is_built_has_the_options():
    few = SamplerSettings(sampler="ddim", steps=7, grid="karras", eta=0.3).build()
    assert (few.grid, few.predictor) == (KarrasGrid(steps=7), DDIM(eta=0.3))
    assert SamplerSettings(sampler="em", steps=7).build().grid == UniformGrid(steps=7)
    multistep = SamplerSettings(sampler="sde-dpm++2m", steps=9).build()
    assert (multistep.grid, multistep.order, multistep.eta) == (LogSNRGrid(steps=9), 2, 1.0)
    churning = SamplerSettings(sampler="heun", steps=9, grid="karras", churn=2.0).build()
    assert churning.predictor.churn.growth == pytest.approx(2.0 / 10)
    assert SamplerSettings(sampler="ode", tolerance=0.1).build().solver.rtol == 0.1


def test_a_changed_option_without_effect_is_refused():
    default = SamplerSettings(sampler="ode")
    dataclasses.replace(default, tolerance=0.1).check_changes(default)
    with pytest.raises(ValueError, match="`steps` does not apply to the sampler ode"):
        dataclasses.replace(default, steps=3).check_changes(default)


@pytest.mark.parametrize(
    ("settings", "fits", "grid"),
    [
        ({"sampler": "unipc", "steps": MOST_FITTED}, True, "fitted"),
        ({"sampler": "unipc", "steps": MOST_FITTED + 1}, True, "log-snr"),
        ({"sampler": "unipc", "steps": 40, "grid": "fitted"}, True, "fitted"),
        ({"sampler": "unipc", "steps": 8, "grid": "karras"}, True, "karras"),
        ({"sampler": "unipc", "steps": 8}, False, "log-snr"),
        ({"sampler": "ddim", "steps": 8}, True, "fitted"),
        ({"sampler": "ddim", "steps": 8, "eta": 0.5}, True, "log-snr"),
        ({"sampler": "sde-dpm++2m", "steps": 8}, True, "log-snr"),
        ({"sampler": "heun", "steps": 8, "grid": "fitted"}, True, "fitted"),
    ],
)
def test_times_are_fitted_in_few_steps_without_noise(settings, fits, grid):
    resolved = SamplerSettings(**settings).resolved(fits=fits)
    assert resolved.grid == grid
    assert resolved.resolved(fits=fits) == resolved
    assert resolved.is_fitted == (grid == "fitted")


def test_a_sampler_without_a_grid_has_none_to_fit():
    for name in ("em", "ode", "published"):
        settings = SamplerSettings(sampler=name, steps=5)
        assert settings.resolved(fits=True) == settings
        assert not dataclasses.replace(settings, grid="fitted").is_fitted


@pytest.mark.parametrize(
    ("settings", "fits", "reason"),
    [
        ({"sampler": "sde-dpm++2m"}, True, "the sampler adds noise"),
        ({"sampler": "heun", "churn": 1.0}, True, "the sampler adds noise"),
        ({"sampler": "unipc"}, False, "the model has no score of the data"),
    ],
)
def test_what_cannot_be_fitted_is_refused(settings, fits, reason):
    with pytest.raises(ValueError, match=rf"^`grid` must not be fitted, since {reason}.*log-snr"):
        SamplerSettings(grid="fitted", **settings).resolved(fits=fits)


def test_adaptive_steps_do_not_follow_the_rounding_of_a_type():
    low = SamplerSettings(sampler="ode", tolerance=1e-4, compute_dtype="bfloat16")
    with pytest.raises(ValueError, match="`tolerance` must be at least 0.001 for a network in bfl"):
        low.build()
    loose = dataclasses.replace(low, tolerance=1e-3).build(frames=2)
    assert loose == LowPrecision(
        sampler=SamplerSettings(sampler="ode", tolerance=1e-3).build(frames=2)
    )
    assert low.switched("em").build().sampler == SamplerSettings(sampler="em").build()
