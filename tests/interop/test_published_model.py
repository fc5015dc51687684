"""The 28 published configurations, and models that are described by hand."""

import dataclasses
import json
import math

import pytest
from checkpoints import FIELDS, WITHOUT_MEANING, model_of

from sde_jax.data import ImageScaling
from sde_jax.interop.configurations import published, published_names
from sde_jax.interop.published_model import PublishedModel
from sde_jax.nets.ddpm import DDPMSpec
from sde_jax.nets.ncsnpp import NCSNppSpec
from sde_jax.score import (
    DescendingIndex,
    LogNoiseLevel,
    LogScaledTime,
    NoiseLevel,
    NoisePrediction,
    ScaledTime,
    ScorePrediction,
)
from sde_jax.sde import VE, VP, DDPMChain, SubVP

SECTIONS = ("data", "model", "training", "sampling", "optim")


def test_every_configuration_field_by_field(shared):
    configurations = json.loads((shared / "checkpoints" / "configurations.json").read_text())
    assert set(published_names()) == set(configurations)
    seen = set()
    for name, configuration in configurations.items():
        model = published(name)
        sections = [configuration[section] for section in SECTIONS]
        settings = {key: value for section in sections for key, value in section.items()}
        for key, value in {**settings, "seed": configuration["seed"]}.items():
            if key in FIELDS:
                ours = getattr(model, key)
                assert (list(ours) if isinstance(ours, tuple) else ours) == value, (name, key)
        seen |= settings.keys()
        given = model_of(*sections, seed=configuration["seed"])
        assert all(getattr(given, key) == getattr(model, key) for key in settings.keys() & FIELDS)
    assert seen - FIELDS == WITHOUT_MEANING
    assert FIELDS - seen == {"seed"}


def test_names():
    names = published_names()
    assert len(names) == 28
    assert list(names) == sorted(names)
    assert len({published(name) for name in names}) == 28


def test_a_name_that_is_none():
    with pytest.raises(ValueError, match="'ve/cifar_ncsnpp': similar are .*ve/cifar10_ncsnpp"):
        published("ve/cifar_ncsnpp")
    with pytest.raises(ValueError, match="there are subvp/cifar10_ddpm_continuous, .*vp/ddpm"):
        published("x")


def test_json():
    model = published("ve/church_ncsnpp_continuous")
    assert PublishedModel.from_json(model.to_json()) == model
    assert PublishedModel.from_json('{"nf": 64, "ch_mult": [1, 2]}') == PublishedModel(
        nf=64, ch_mult=(1, 2)
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"resblock": "ddpm"}', "no field resblock: similar are .*resblock_type"),
        ('{"zzzz": 1}', "no field zzzz$"),
        ("[]", "must be a JSON object"),
        ("{", "Expecting"),
        ('{"nf": "8"}', "`nf` must be an integer: got nf='8'"),
        ('{"dropout": NaN}', "`dropout` must be a finite number"),
    ],
)
def test_json_of_something_else(text, message):
    with pytest.raises(ValueError, match=message):
        PublishedModel.from_json(text)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"name": "ncsnv2"}, "`name` must be 'ncsnpp' or 'ddpm': got name='ncsnv2'"),
        ({"nf": 0}, "`nf` must be positive: got nf=0"),
        ({"nf": True}, "`nf` must be an integer"),
        ({"nf": 8.0}, "`nf` must be an integer"),
        ({"centered": 1}, "`centered` must be true or false"),
        ({"category": 1}, "`category` must be text"),
        ({"ch_mult": [1, 2.0]}, "`ch_mult` must be integers"),
        ({"ch_mult": [1, True]}, "`ch_mult` must be integers"),
        ({"ch_mult": ()}, "`ch_mult` must be a positive integer per level"),
        ({"fir_kernel": "1331"}, "`fir_kernel` must be integers"),
        ({"snr": math.inf}, "`snr` must be a finite number"),
        ({"seed": -1}, "`seed` must not be negative"),
        ({"ema_rate": 1.0}, r"`ema_rate` must be in \[0, 1\)"),
        ({"image_size": 20}, "`image_size` must be divisible by 8"),
        ({"sigma_max": 0.001}, "`sigma_max`: got sigma_min=0.01, sigma_max=0.001"),
        ({"beta_max": 0.01}, "`beta_max` must exceed `beta_min`"),
        ({"sde": "subvpsde", "continuous": False}, "`continuous` must be true if `sde` is subvp"),
        (
            {"embedding_type": "fourier", "continuous": False},
            "`continuous` must be true if `embedding_type` is fourier",
        ),
        (
            {"likelihood_weighting": True, "continuous": False},
            "`continuous` must be true if `likelihood_weighting` is on",
        ),
        ({"name": "ddpm", "nf": 8}, "multiple of 32"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        PublishedModel(**settings)


def test_models_are_hashable_whatever_they_are_made_of():
    model = PublishedModel(ch_mult=[1, 2], fir_kernel=[1, 3, 3, 1], sigma_max=50)
    assert hash(model) == hash(PublishedModel(ch_mult=(1, 2)))
    assert isinstance(model.sigma_max, float)


@pytest.mark.parametrize(
    "settings, told",
    [
        ({}, ScaledTime(scale=999.0)),
        ({"sde": "subvpsde", "num_scales": 50}, ScaledTime(scale=999.0)),
        ({"embedding_type": "fourier"}, LogScaledTime(scale=999.0)),
        ({"embedding_type": "fourier", "name": "ddpm"}, ScaledTime(scale=999.0)),
        ({"continuous": False, "num_scales": 50}, ScaledTime(scale=49)),
        ({"sde": "vesde", "embedding_type": "fourier"}, LogNoiseLevel(scale=1.0)),
        ({"sde": "vesde"}, NoiseLevel()),
        ({"sde": "vesde", "continuous": False, "num_scales": 50}, DescendingIndex(levels=50)),
    ],
)
def test_how_networks_are_told_the_time(settings, told):
    assert PublishedModel(**settings).score_model.time_condition == told


def test_what_networks_predict():
    for sde, kind in {"vpsde": VP, "subvpsde": SubVP}.items():
        model = PublishedModel(sde=sde, beta_min=0.2, beta_max=15.0).score_model
        assert model.sde == kind(beta_min=0.2, beta_max=15.0)
        assert model.parameterization == NoisePrediction()
        assert model.noise_levels is None
    model = PublishedModel(sde="vesde", sigma_max=9.0).score_model
    assert model.sde == VE(sigma_max=9.0)
    assert model.parameterization == ScorePrediction()
    discrete = PublishedModel(continuous=False, num_scales=50)
    assert discrete.score_model.noise_levels == DDPMChain(levels=50)
    discrete = dataclasses.replace(discrete, sde="vesde")
    assert discrete.score_model.noise_levels is None


def test_networks_and_scaling():
    spec = published("ve/ffhq_ncsnpp_continuous").network_spec
    assert spec == NCSNppSpec(
        channels=16,
        multipliers=(1, 2, 4, 8, 16, 32, 32, 32),
        blocks_per_level=1,
        dropout=0.0,
        centered=False,
        scale_by_sigma=True,
        sigma_max=1348.0,
        num_scales=2000,
        embedding="fourier",
        resampling_filter=(1, 3, 3, 1),
        progressive_input="input_skip",
        progressive_output="output_skip",
    )
    large = published("vp/ddpm/church").network_spec
    assert large == DDPMSpec(multipliers=(1, 1, 2, 2, 4, 4), dropout=0.0, sigma_max=378.0)
    assert published("ve/celeba_ncsnpp").scaling == ImageScaling(centered=False)
    assert published("vp/ddpm/church").scaling == ImageScaling()
    assert published("vp/ddpm/church").image_shape == (256, 256, 3)
