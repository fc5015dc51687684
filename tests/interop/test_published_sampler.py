"""The samplers of published models, spelled out."""

import dataclasses

import pytest

from sde_jax.interop.configurations import published
from sde_jax.interop.published_model import PublishedModel
from sde_jax.interop.published_sampler import published_sampler
from sde_jax.sampling import (
    Ancestral,
    BatchNormStep,
    Langevin,
    PredictorCorrector,
    PublishedGrid,
    ReverseDiffusion,
    ScheduledStep,
)
from sde_jax.sde import DDPMChain, EulerChain, SMLDChain


def test_euler_maruyama_of_vp():
    assert published_sampler(published("vp/cifar10_ddpmpp_continuous")) == PredictorCorrector(
        grid=PublishedGrid(steps=1000, t_min=1e-3),
        predictor=ReverseDiffusion(transition=EulerChain(steps=1000)),
        end="mean",
    )


def test_predictor_and_corrector_of_ve():
    chain = SMLDChain(levels=2000)
    assert published_sampler(published("ve/ffhq_ncsnpp_continuous")) == PredictorCorrector(
        grid=PublishedGrid(steps=2000, t_min=1e-5),
        predictor=ReverseDiffusion(transition=chain),
        corrector=Langevin(snr=0.15, step_size=BatchNormStep(), transition=chain),
        end="mean",
    )


def test_ancestral_steps_of_ddpm_and_variants():
    chain = DDPMChain(levels=1000)
    model = published("vp/ddpm/cifar10")
    sampler = published_sampler(model)
    assert sampler.predictor == Ancestral(transition=chain, variance="beta")
    assert sampler.corrector is None
    ald = dataclasses.replace(model, corrector="ald", n_steps_each=2, noise_removal=False)
    other = published_sampler(ald)
    assert other.corrector == Langevin(
        snr=0.16, steps=2, step_size=ScheduledStep(), transition=chain
    )
    assert other.end == "state"


def test_the_probability_flow_and_sub_vp():
    model = PublishedModel(sde="subvpsde", predictor="reverse_diffusion", probability_flow=True)
    assert published_sampler(model).predictor == ReverseDiffusion(
        transition=EulerChain(steps=1000), probability_flow=True
    )


def test_a_sampler_that_would_not_move_is_refused():
    with pytest.raises(ValueError, match="`predictor` and `corrector` must not both be None"):
        published_sampler(PublishedModel(predictor="none"))
