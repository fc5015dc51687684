"""Tests of the table of samplers: its names, its options, and what a change of sampler keeps."""

import dataclasses
from typing import get_args

import pytest

from sde_jax.recipes.sampler_settings import GRIDS, SAMPLERS, GridName, SamplerName, SamplerSettings
from sde_jax.sampling import DDIM, KarrasGrid, LogSNRGrid, UniformGrid

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
    assert settings.switched("ddim").options() == {"steps": 50, "grid": "log-snr", "eta": 0.5}
    assert settings.switched("heun").options() == {"steps": 17, "grid": "karras", "churn": 0.0}
    assert settings.switched("unipc").options() == {"steps": 20, "grid": "log-snr"}


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
