"""A truncated process: its coefficients are those of the whole, in another time."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, each_sde_slowly

from sde_jax.sampling import KarrasGrid, LogSNRGrid, UniformGrid
from sde_jax.sde import TruncatedSDE, transition

TIMES = np.array([0.0, 1e-3, 0.1, 0.5, 1.0])


@each_sde_slowly
def test_it_is_the_whole_in_another_time(sde):
    """Marginals and transitions are the same at the same states; rates are per unit of its time."""
    with jax.enable_x64(True):
        truncated, t = TruncatedSDE(sde=sde, end=0.3), jnp.asarray(TIMES)
        for name in ("log_alpha", "alpha", "sigma", "noise_to_signal"):
            expected = getattr(sde, name)(0.3 * t)
            np.testing.assert_allclose(getattr(truncated, name)(t), expected, rtol=1e-12)
        for name in ("drift_rate", "diffusion_squared"):
            expected = 0.3 * getattr(sde, name)(0.3 * t)
            np.testing.assert_allclose(getattr(truncated, name)(t), expected, rtol=1e-12)
        part = transition(truncated, t[2:-1], t[3:])
        whole = transition(sde, 0.3 * t[2:-1], 0.3 * t[3:])
        np.testing.assert_allclose(part, whole, rtol=1e-10)
        ratio = sde.noise_to_signal(jnp.asarray(0.12))
        np.testing.assert_allclose(truncated.time_of(ratio), 0.4, rtol=1e-8)


@each_sde_slowly
@pytest.mark.parametrize("grid", [UniformGrid, LogSNRGrid, KarrasGrid])
def test_grids_run_from_its_end_to_where_sampling_ends(sde, grid):
    times = 0.3 * grid(steps=7)(TruncatedSDE(sde=sde, end=0.3))
    whole = grid(steps=7)(sde)
    assert times[0] == np.float32(0.3)
    np.testing.assert_allclose(times[-1], whole[-1], rtol=1e-5)
    assert (np.diff(times) < 0).all()


@each_sde_slowly
def test_truncation_at_one_is_the_whole(sde):
    whole = TruncatedSDE(sde=sde, end=1.0)
    np.testing.assert_array_equal(whole.sigma(jnp.asarray(TIMES)), sde.sigma(jnp.asarray(TIMES)))
    assert whole.prior_scale == pytest.approx(sde.prior_scale, rel=1e-4)


def test_it_can_be_made_and_used_while_compiling():
    made = jax.jit(lambda t: TruncatedSDE(sde=SDES["vp"], end=0.5).sigma(t))(jnp.asarray(0.4))
    np.testing.assert_allclose(made, SDES["vp"].sigma(jnp.asarray(0.2)), rtol=1e-6)
    scale = jax.jit(lambda x: TruncatedSDE(sde=SDES["ve"], end=0.5).prior_scale * x)(2.0)
    # The geometric mean of .01 and 50.
    np.testing.assert_allclose(scale, 2 * 0.5**0.5, rtol=1e-5)


@pytest.mark.parametrize("end", [1.5, 0.0, 5e-4])
def test_ends_outside_of_sampling_are_refused(end):
    message = (
        "`end` must be above 0.000916, the end of sampling of VP(beta_min=0.1, beta_max=20.0), and "
        f"at most 1: got end={end}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TruncatedSDE(sde=SDES["vp"], end=end)
