"""Sampling by jumps to the data and back, with an exact student of a Gaussian."""

import jax
import jax.numpy as jnp
import numpy as np
from cases import DEVIATION, MEAN, SDES, each_name_slowly, gaussian

from sde_jax.sampling import JumpGrid, PredictorCorrector, Renoise
from sde_jax.score import gaussian_flow, score_of_denoised


@each_name_slowly
def test_exact_jumps_sample_the_data(name):
    """From any number of jumps, if the posterior mean is the exact map of the flow."""
    sde = SDES[name]

    def student(x, t):
        ends = gaussian_flow(gaussian(), sde, x, t, jnp.asarray(1e-5))
        return score_of_denoised(sde, ends, x, t)

    keys = jax.random.split(jax.random.key(0), 4000)
    for jumps in (1, 3):
        sampler = PredictorCorrector(grid=JumpGrid(jumps=jumps), predictor=Renoise())
        samples = jax.jit(sampler, static_argnums=(1, 2, 3))(keys, student, sde, (1,))
        assert (samples.nfe == jumps).all()
        np.testing.assert_allclose(samples.x.mean(), MEAN, atol=4 * DEVIATION / 4000**0.5)
        np.testing.assert_allclose(samples.x.std(), DEVIATION, rtol=4 / 8000**0.5)


def test_jumps_start_at_equal_angles():
    times = JumpGrid(jumps=4)(SDES["vp"])
    np.testing.assert_allclose(times[0], 1)
    levels = np.tan(np.pi / 8 * np.arange(3, 0, -1))
    np.testing.assert_allclose(SDES["vp"].noise_to_signal(times[1:]), levels, rtol=1e-5)
