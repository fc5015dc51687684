"""Agreement with the published implementation, in float64."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES

from sde_jax.sde import probability_flow_drift, reverse_drift, transition

RTOL = 1e-12


@pytest.fixture(params=["vp", "subvp", "ve"])
def published(request, parity):
    file = parity(f"sde/{request.param}")
    sde = SDES[request.param]
    assert vars(sde) == json.loads(str(file["meta"]))["params"]
    return sde, file


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def test_coefficients(published):
    sde, file = published
    t, x = jnp.asarray(np.float64(file["t"])), np.float64(file["x"])
    drift = sde.drift_rate(t)[:, None, None, None] * x
    np.testing.assert_allclose(drift, file["drift_f64"], rtol=RTOL)
    diffusion = file["diffusion_f64"]
    # 1 - exp cancels in the reference even in float64, by rounding over the variance.
    cancelled = RTOL + 1e-15 / np.asarray(sde.sigma(t)) ** 2
    assert (np.abs(sde.diffusion_squared(t) / diffusion**2 - 1) < cancelled).all()
    assert (np.abs(sde.sigma(t) / file["marginal_std_f64"] - 1) < cancelled).all()
    mean = sde.alpha(t)[:, None, None, None] * x
    np.testing.assert_allclose(mean, file["marginal_mean_f64"], rtol=RTOL)


def test_prior(published):
    sde, file = published
    z = np.float64(file["z"])
    density = jax.scipy.stats.norm.logpdf(jnp.asarray(z), scale=sde.prior_scale)
    np.testing.assert_allclose(density.sum((1, 2, 3)), file["prior_logp_f64"], rtol=RTOL)


def test_reversed_drifts(published):
    sde, file = published
    t, x, score = (jnp.asarray(np.float64(file[key])) for key in ("t", "x", "score"))
    backward, flow = reverse_drift(sde, x, t, score), probability_flow_drift(sde, x, t, score)
    np.testing.assert_allclose(backward, file["reverse_sde_drift_f64"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(flow, file["reverse_ode_drift_f64"], rtol=1e-9, atol=1e-12)


def test_the_default_is_the_published_step_to_second_order(parity):
    """The reference's steps between N noise levels: the same for VE, to O(1 / N^2) for VP."""
    ve, vp = parity("sde/ve"), parity("sde/vp")
    levels = jnp.linspace(0.0, 1.0, 1000)
    index = ve["discretize_index"][ve["discretize_index"] > 0]
    step = transition(SDES["ve"], levels[index - 1], levels[index])
    published_step = ve["discretize_G"][ve["discretize_index"] > 0]
    np.testing.assert_allclose(jnp.sqrt(step.variance), published_step, rtol=2e-5)
    i = np.arange(1000)
    step = transition(SDES["vp"], jnp.asarray(i / 1000), jnp.asarray((i + 1) / 1000))
    # the reference takes beta at i / (N - 1) for the whole step, and 1 - beta for exp(-beta)
    np.testing.assert_allclose(step.variance, vp["discrete_betas"], rtol=0.02, atol=1.1e-5)
    # the factor a of the corrector's step
    np.testing.assert_allclose(step.scale**2, vp["alphas"], atol=2.5e-4)
