"""The samplers of published models, spelled out."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DEVIATION, MEAN, gaussian

from sde_jax.interop.configurations import published
from sde_jax.interop.published_model import PublishedModel
from sde_jax.interop.published_sampling import published_sampler
from sde_jax.ode import AdaptiveSolver
from sde_jax.recipes.published import published_experiment
from sde_jax.sampling import (
    Ancestral,
    BatchNormStep,
    Langevin,
    PredictorCorrector,
    ProbabilityFlow,
    PublishedGrid,
    ReverseDiffusion,
    ScheduledStep,
)
from sde_jax.score import MixtureScore
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


KEYS = jax.random.split(jax.random.key(0), 64)


def drawn(model, **frames):
    sampler = dataclasses.replace(published_sampler(model), **frames)
    score = MixtureScore(gaussian(), model.process)
    return jax.jit(lambda keys: sampler(keys, score, model.process, (1,)))(KEYS)


def test_without_a_predictor_there_is_no_noise_to_remove():
    """The predictor "none" of the published code returns its state as the mean, too."""
    model = PublishedModel(predictor="none", corrector="langevin", num_scales=50)
    assert model.noise_removal
    state = drawn(dataclasses.replace(model, noise_removal=False))
    np.testing.assert_array_equal(drawn(model).x, state.x)


@pytest.mark.parametrize("sde", ["vpsde", "subvpsde", "vesde"])
def test_the_ode_ends_with_a_mean_of_reverse_diffusion(sde):
    """At the end t: x - f + G^2 score, of the drift f and the diffusion G of the chain's step."""
    model = PublishedModel(sde=sde, method="ode", num_scales=100)
    exact, x = MixtureScore(gaussian(), model.process), np.linspace(-0.5, 1.5, 9)[:, None]
    states, counts = jnp.asarray(x, jnp.float32)[:, None], (jnp.zeros(9, int), jnp.ones(9, bool))
    samples = published_sampler(model).finish(exact, model.process, states, *counts)
    t = 1e-5 if sde == "vesde" else 1e-3
    beta = (0.1 + 19.9 * t) / 100
    integral = t * (0.1 + 19.9 * t / 2)
    alpha, variance = np.exp(-integral / 2), -np.expm1(-integral)
    if sde == "vpsde":
        first = 0.1 / 100
        drift, square = (np.sqrt(1 - first) - 1) * x, first
    elif sde == "subvpsde":
        drift, square = -beta / 2 * x, beta * -np.expm1(-2 * integral)
        variance = variance**2
    else:
        alpha, variance = 1.0, (0.01 * 5000**t) ** 2
        drift, square = 0.0, 0.01**2
    score = -(x - alpha * MEAN) / (alpha**2 * DEVIATION**2 + variance)
    np.testing.assert_allclose(samples.x, x - drift + square * score, atol=2e-6)
    np.testing.assert_array_equal(samples.nfe, np.ones(9))
    kept = published_sampler(dataclasses.replace(model, noise_removal=False))
    unchanged = kept.finish(exact, model.process, states, *counts).x
    np.testing.assert_array_equal(unchanged, states[:, 0])


@pytest.mark.slow("test_the_ode_ends_with_a_mean_of_reverse_diffusion")
def test_samples_of_the_published_ode():
    samples = drawn(PublishedModel(sde="vesde", method="ode"))
    np.testing.assert_allclose(samples.x.mean(), MEAN, atol=5 * DEVIATION / 8)
    np.testing.assert_allclose(samples.x.std(), DEVIATION, atol=5 * DEVIATION / 8 / 2**0.5)


def test_the_published_ode_is_that_of_its_tolerance():
    sampler = published_sampler(PublishedModel(sde="vesde", method="ode"))
    assert sampler == ProbabilityFlow(
        solver=AdaptiveSolver(rtol=1e-5, atol=1e-5, method="dopri5"),
        t_min=1e-5,
        ending=ReverseDiffusion(transition=SMLDChain(levels=1000)),
    )
    assert published_experiment(PublishedModel(method="ode")).sampling.sampler == "published"


def test_a_sampler_that_would_not_move_is_refused():
    with pytest.raises(ValueError, match="`predictor` and `corrector` must not both be None"):
        published_sampler(PublishedModel(predictor="none"))
