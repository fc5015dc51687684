"""The probability-flow ODE: exact maps, tolerance, both directions, cost, frames."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import (
    DEVIATION,
    MEAN,
    SDES,
    gaussian,
    keys,
    line_mixture,
    plane_mixture,
    plane_mixture_arrays,
    slow_but,
)

from sde_jax import score
from sde_jax.ode import AdaptiveSolver
from sde_jax.sampling import ProbabilityFlow, draw_prior
from sde_jax.score import MixtureScore
from sde_jax.sde import FlowMatching

T_MIN = 1e-3


@functools.partial(jax.jit, static_argnums=(0, 2))
def decode(flow, mixture, sde, latents):
    return flow.decode(MixtureScore(mixture, sde), sde, latents)


@functools.partial(jax.jit, static_argnums=(0, 2))
def sample(flow, mixture, sde, keys):
    return flow(keys, MixtureScore(mixture, sde), sde, (mixture.means.shape[1],))


gaussian_flow, quantile_flow = (
    jax.jit(flow, static_argnums=1) for flow in (score.gaussian_flow, score.quantile_flow)
)


@pytest.mark.parametrize("name", slow_but("ve"))
def test_decoding_a_mixture_keeps_quantiles(name):
    sde = SDES[name]
    latents = sde.prior_scale * jnp.linspace(-2.5, 2.5, 11)
    solution = decode(ProbabilityFlow(t_min=T_MIN), line_mixture(), sde, latents[:, None])
    expected = quantile_flow(line_mixture(), sde, latents, jnp.asarray(1.0), jnp.asarray(T_MIN))
    np.testing.assert_allclose(solution.y[:, 0], expected, atol=5e-4)
    assert solution.converged.all()


@pytest.mark.slow("test_decoding_a_mixture_keeps_quantiles")
@pytest.mark.parametrize("name", [pytest.param("vp", marks=pytest.mark.slow), "ve"])
def test_decoding_in_the_plane_agrees_with_scipy(name):
    """In more than one dimension a solve in float64 at 1e-10 is the oracle."""
    sde, data = SDES[name], oracles.Mixture(*plane_mixture_arrays())
    latents = sde.prior_scale * np.array([[0.3, -1.0], [1.5, 0.4]])
    solution = decode(ProbabilityFlow(t_min=0.01), plane_mixture(), sde, jnp.asarray(latents))
    process = oracles.PROCESSES[name]
    with jax.enable_x64(True):
        alpha, sigma = jax.jit(sde.alpha), jax.jit(sde.sigma)
        expected = oracles.probability_flow(
            process, data, lambda t: (float(alpha(t)), float(sigma(t))), latents, 1.0, 0.01
        )
    np.testing.assert_allclose(solution.y, expected, atol=3e-4)


@pytest.mark.slow("tests/ode/test_adaptive_solver.py::test_the_error_follows_the_tolerance")
@pytest.mark.parametrize("name", ["vp", "ve"])
def test_the_error_follows_the_tolerance(name):
    sde = SDES[name]
    with jax.enable_x64(True):
        latents = sde.prior_scale * jnp.asarray([[-1.3], [0.2], [1.7]])
        expected = gaussian_flow(gaussian(), sde, latents, jnp.asarray(1.0), jnp.asarray(T_MIN))
        errors = []
        for tolerance in (1e-3, 1e-6, 1e-9):
            solver = AdaptiveSolver(rtol=tolerance, atol=tolerance)
            y = decode(ProbabilityFlow(solver=solver, t_min=T_MIN), gaussian(), sde, latents).y
            errors.append(float(np.abs(y - expected).max()))
        assert (np.array(errors) < 30 * np.array([1e-3, 1e-6, 1e-9])).all(), errors
        assert (np.diff(np.log10(errors)) < -1.5).all(), errors


@pytest.mark.parametrize(
    ("name", "mixture"),
    [("ve", line_mixture), pytest.param("subvp", plane_mixture, marks=pytest.mark.slow)],
)
def test_encode_and_decode_are_inverse(name, mixture, key):
    sde, flow = SDES[name], ProbabilityFlow(t_min=T_MIN)
    x = jax.jit(mixture().sample, static_argnums=1)(key, 11)
    exact = MixtureScore(mixture(), sde)
    latents = jax.jit(lambda x: flow.encode(exact, sde, x))(x)
    back = decode(flow, mixture(), sde, latents.y)
    assert latents.converged.all()
    np.testing.assert_allclose(back.y, x, atol=1e-3)


@pytest.mark.slow("test_frames_lead_from_the_prior_to_the_sample")
@pytest.mark.parametrize("name", SDES)
def test_samples_have_the_datas_law(name, key):
    """Mean and deviation within 5 standard errors of 2000; the solve's error is below 1e-3."""
    samples = sample(ProbabilityFlow(), gaussian(), SDES[name], keys(key, 2000))
    error = DEVIATION / np.sqrt(2000)
    assert abs(samples.x.mean() - MEAN) < 5 * error + 1e-3
    # denoising takes the end's noise out: its variance is that of the posterior mean
    assert abs(samples.x.std() - DEVIATION) < 5 * error / np.sqrt(2) + 1e-3
    assert samples.converged.all()


@pytest.mark.slow("test_frames_lead_from_the_prior_to_the_sample")
def test_a_sample_is_the_decoded_prior_of_its_key(key):
    sde, all_keys = SDES["vp"], keys(key, 4)
    prior = draw_prior(jax.vmap(jax.random.split, out_axes=1)(all_keys)[0], sde, (2,))
    decoded = decode(ProbabilityFlow(), plane_mixture(), sde, prior)
    clean = sample(ProbabilityFlow(), plane_mixture(), sde, all_keys)
    denoise = jax.jit(plane_mixture().denoised, static_argnums=0)
    expected = denoise(sde, decoded.y, sde.sampling_end)
    np.testing.assert_allclose(clean.x, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow("test_decoding_a_mixture_keeps_quantiles")
def test_flow_matching_draws_the_samples_of_vp_with_its_range(key):
    """From the same noise, to 1e-4. The prior of VP is wider than its noise at t = 1 by 2e-5."""
    with jax.enable_x64(True):
        vp, fine = SDES["vp"], AdaptiveSolver(rtol=1e-7, atol=1e-7)
        last = float(vp.noise_to_signal(jnp.asarray(1.0)))
        samples = [
            sample(ProbabilityFlow(solver=fine), plane_mixture(), sde, keys(key, 4)).x
            for sde in (vp, FlowMatching(noise_to_signal_prior=last))
        ]
        np.testing.assert_allclose(samples[1], samples[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("frames", "denoise"),
    [
        (0, True),
        pytest.param(0, False, marks=pytest.mark.slow),
        pytest.param(3, True, marks=pytest.mark.slow),
    ],
)
def test_nfe_is_the_number_of_calls(frames, denoise, key):
    calls, sde = [], SDES["vp"]

    def score(x, t):
        jax.debug.callback(lambda: calls.append(None))
        return line_mixture().score(sde, x, t)

    flow = ProbabilityFlow(frames=frames, denoise=denoise)
    samples = jax.jit(lambda keys: flow(keys, score, sde, (1,)))(keys(key, 1))
    jax.effects_barrier()
    np.testing.assert_array_equal(samples.nfe, [len(calls)])
    assert (samples.trajectory is None) == (frames == 0)


def test_a_sample_and_its_cost_do_not_depend_on_the_batch(key):
    """To rounding in float64."""
    with jax.enable_x64(True):
        sde = SDES["vp"]
        latents = draw_prior(keys(key, 64), sde, (2,))
        run = jax.jit(
            lambda x: ProbabilityFlow().decode(MixtureScore(plane_mixture(), sde), sde, x)
        )
        together = run(latents)
        for j in (0, 7, 63):
            alone = run(latents[j : j + 1])
            np.testing.assert_allclose(alone.y[0], together.y[j], rtol=1e-9)
            assert alone.nfe[0] == together.nfe[j]
    assert len(set(np.asarray(together.nfe))) > 1


@pytest.mark.slow("test_a_sample_and_its_cost_do_not_depend_on_the_batch")
@pytest.mark.parametrize("name", ["vp", "ve"])
def test_in_float32_the_batch_hardly_turns_a_step(name, key):
    """A step whose error is within rounding of the tolerance may be kept or not: not in most
    samples, and with a result within the tolerance."""
    sde = SDES[name]
    latents = draw_prior(keys(key, 64), sde, (2,))
    exact = MixtureScore(plane_mixture(), sde)
    run = jax.jit(lambda x: ProbabilityFlow().decode(exact, sde, x))
    together, alone = run(latents), [run(x[None]) for x in latents]
    turned = [int(one.nfe[0]) != int(nfe) for one, nfe in zip(alone, together.nfe, strict=True)]
    difference = np.abs(np.concatenate([one.y for one in alone]) - together.y)
    assert np.mean(turned) < 0.5
    assert np.median(difference) < 5e-6
    assert difference.max() < 3e-3


@pytest.mark.parametrize("denoise", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_frames_lead_from_the_prior_to_the_sample(denoise, key):
    sde, all_keys = SDES["vp"], keys(key, 3)
    samples = sample(ProbabilityFlow(frames=4, denoise=denoise), gaussian(2), sde, all_keys)
    assert samples.trajectory.shape == (3, 5, 2)
    times = jnp.linspace(1.0, sde.sampling_end, 5)
    np.testing.assert_array_equal(samples.trajectory_times, np.tile(times, (3, 1)))
    prior = draw_prior(jax.vmap(jax.random.split, out_axes=1)(all_keys)[0], sde, (2,))
    # It is drawn in another program, which may round erfinv differently.
    np.testing.assert_allclose(samples.trajectory[:, 0], prior, rtol=2e-7)
    # The program computes the two outputs in two fusions, which may round differently.
    np.testing.assert_allclose(samples.trajectory[:, -1], samples.x, rtol=2e-7)
    for frame in (1, 2, 3, 4):
        expected = gaussian_flow(gaussian(2), sde, prior, jnp.asarray(1.0), times[frame])
        if frame == 4 and denoise:
            expected = jax.jit(gaussian(2).denoised, static_argnums=0)(sde, expected, times[4])
        np.testing.assert_allclose(samples.trajectory[:, frame], expected, atol=2e-4)


def test_a_failed_solve_is_reported_for_its_sample_only():
    sde = SDES["vp"]

    def score(x, t):
        broken = (x > 50) & (t < 0.9)
        return jnp.where(broken, jnp.nan, gaussian().score(sde, x, t))

    latents = jnp.asarray([[0.1], [1e4], [-0.3]])
    solution = jax.jit(lambda latents: ProbabilityFlow().decode(score, sde, latents))(latents)
    np.testing.assert_array_equal(solution.converged, [True, False, True])


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"^`frames` must not be negative: got frames=-2\.$"):
        ProbabilityFlow(frames=-2)
