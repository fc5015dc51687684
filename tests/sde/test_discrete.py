"""The published chains: against their definitions in float64, and against the published tables."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, each_sde_slowly

from sde_jax.sampling import PublishedGrid, UniformGrid
from sde_jax.sde import DDPMChain, EulerChain, SMLDChain, transition

COUNTS = [50, 1000, 2000]
VP, VE = SDES["vp"], SDES["ve"]


def times_of(levels):
    """The float32 times nearest to those of a chain's levels."""
    return jnp.asarray((np.arange(levels) / (levels - 1)).astype(np.float32))


def ddpm_tables(levels):
    """``beta_i`` and the products of ``1 - beta``, 1 before the first, as defined in the paper."""
    betas = np.linspace(0.1 / levels, 20.0 / levels, levels)
    return betas, np.concatenate([[1.0], np.cumprod(1 - betas)])


@pytest.mark.parametrize("levels", COUNTS)
def test_ddpm_is_the_chain_of_its_betas(levels):
    """Every level, its posterior as Ho et al. 2020 give it in eq. 7."""
    betas, products = ddpm_tables(levels)
    chain, t = DDPMChain(levels=levels), times_of(levels)
    scale, variance, posterior = jax.jit(chain, static_argnums=0)(VP, t, t)
    np.testing.assert_allclose(scale, np.sqrt(1 - betas), rtol=1e-6)
    np.testing.assert_allclose(variance, betas, rtol=1e-6)
    expected = betas * (1 - products[:-1]) / (1 - products[1:])
    np.testing.assert_allclose(posterior, expected, rtol=1e-5)
    np.testing.assert_allclose(chain.alpha(VP, t), np.sqrt(products[1:]), rtol=1e-5)
    np.testing.assert_allclose(chain.sigma(VP, t), np.sqrt(1 - products[1:]), rtol=1e-5)


@pytest.mark.parametrize("levels", COUNTS)
def test_smld_adds_the_difference_of_its_variances(levels):
    """Every level; before the first there is no noise, hence the posterior is a point."""
    sigmas = np.exp(np.linspace(np.log(0.01), np.log(50.0), levels))
    below = np.concatenate([[0.0], sigmas[:-1]])
    t = times_of(levels)
    scale, variance, posterior = SMLDChain(levels=levels)(VE, t, t)
    np.testing.assert_array_equal(scale, np.ones(levels))
    # sigmas of 2000 levels differ by .4 %, and each is rounded
    np.testing.assert_allclose(variance, sigmas**2 - below**2, rtol=1e-3)
    expected = below**2 * (sigmas**2 - below**2) / sigmas**2
    np.testing.assert_allclose(posterior, expected, rtol=1e-3)


def test_chains_read_the_published_tables(parity):
    vp, ve = parity("sde/vp"), parity("sde/ve")
    t = times_of(1000)
    ddpm = DDPMChain()
    np.testing.assert_allclose(ddpm(VP, t, t).variance, vp["discrete_betas"], rtol=1e-6)
    np.testing.assert_allclose(ddpm(VP, t, t).scale ** 2, vp["alphas"], rtol=1e-6)
    np.testing.assert_allclose(ddpm.alpha(VP, t), vp["sqrt_alphas_cumprod"], rtol=3e-5)
    # 1 - cumprod cancels in the float32 of the reference, which leaves 3e-4 of the first
    np.testing.assert_allclose(ddpm.sigma(VP, t), vp["sqrt_1m_alphas_cumprod"], rtol=4e-4)
    np.testing.assert_allclose(VE.sigma(t), ve["discrete_sigmas"], rtol=2e-6)


@pytest.mark.parametrize(
    ("name", "chain"),
    [("vp", DDPMChain()), ("subvp", EulerChain()), ("ve", SMLDChain())],
)
def test_chains_make_the_published_steps(name, chain, parity):
    """``f = (c - 1) x`` and ``G^2 = v``, of the discretization and of Euler-Maruyama."""
    file, sde = parity(f"sde/{name}"), SDES[name]
    t = jnp.asarray(file["t"])
    for rule, prefix in [(chain, ""), (EulerChain(), "em_")]:
        scale, variance, _ = rule(sde, t, t)
        drift = (scale - 1)[:, None, None, None] * file["x"]
        f, g = file[f"{prefix}discretize_f"], file[f"{prefix}discretize_G"]
        np.testing.assert_allclose(drift, f, rtol=1e-2, atol=2e-7 * np.abs(file["x"]).max())
        # the reference's float32 loses up to 1.2 % of sub-VP's diffusion, at t = 1e-5
        tolerance = np.where(file["t"] < 2e-3, 0.013, 2e-5) if name == "subvp" else 2e-5
        assert (np.abs(jnp.sqrt(variance) - g) <= tolerance * g).all()


@pytest.mark.parametrize("levels", COUNTS)
def test_a_level_is_where_the_published_index_truncates(levels):
    """Half a level above level i it is still i, a little below it is i - 1."""
    betas, _ = ddpm_tables(levels)
    i = np.arange(1, levels - 1)
    for offset, expected in [(0.5, i), (0.999, i), (-0.002, i - 1)]:
        t = jnp.asarray((i + offset) / (levels - 1), jnp.float32)
        variance = DDPMChain(levels=levels)(VP, t, t).variance
        np.testing.assert_allclose(variance, betas[expected], rtol=1e-6)


@pytest.mark.parametrize("t_min", ["0.001", "1e-05"])
def test_the_published_grid_visits_the_published_levels(t_min, parity):
    """Times are the published ones, rounded; float32 may err by another unit in the last place."""
    file = parity("sde/vp")
    betas, _ = ddpm_tables(1000)
    grid = PublishedGrid(steps=1000, t_min=float(t_min))
    with jax.enable_x64(True):
        exact = np.asarray(grid(VP))
    np.testing.assert_allclose(exact[:-1], file[f"timesteps_N1000_eps{t_min}"], rtol=0, atol=6e-8)
    times = grid(VP)
    np.testing.assert_allclose(times, exact, rtol=0, atol=1.2e-7)
    assert times[-1] == times[-2]
    visited = DDPMChain()(VP, times[:-1], times[:-1]).variance
    index = file[f"timesteps_N1000_eps{t_min}_index"]
    np.testing.assert_allclose(visited, betas[index], rtol=1e-6)


@each_sde_slowly
def test_steps_of_the_grid_lose_no_time_but_published_ones_may(sde):
    """Of 2000 steps to t = .001, the published index visits level 0 never, and others twice."""
    times = UniformGrid(steps=2000, t_min=1e-3)(sde)
    with jax.enable_x64(True):
        times = jnp.asarray(np.float64(times))
        whole = transition(sde, times[-1], times[0])
        steps = transition(sde, times[1:], times[:-1])
        log_scale = jnp.log(steps.scale).sum()
        np.testing.assert_allclose(log_scale, jnp.log(whole.scale), rtol=1e-9, atol=1e-12)


def test_the_published_index_loses_levels():
    """The control of the test above: 2000 steps to t = .001."""
    betas, _ = ddpm_tables(2000)
    times = PublishedGrid(steps=2000, t_min=1e-3)(VP)[:-1]
    visited = DDPMChain(levels=2000)(VP, times, times).variance
    levels = np.asarray(jnp.round((visited - betas[0]) / (betas[1] - betas[0])), int)
    assert 0 not in levels
    assert len(set(levels)) < 2000


@pytest.mark.parametrize("levels", [1000, 4000])
def test_chains_approach_the_exact_transition(levels):
    """A step of a chain is that of the SDE over 1 / N, but for a share of order 1 / N."""
    t = jnp.linspace(0.1, 0.9, 9)
    # in the middle of the interval over which beta_i is beta's mean
    s, late = t - 0.5 / levels, t + 0.5 / levels
    level = jnp.floor(t * (levels - 1)) / (levels - 1)
    for sde, chain in [(VP, DDPMChain(levels=levels)), (VP, EulerChain(steps=levels))]:
        exact, step = transition(sde, s, late), chain(sde, s, t)
        np.testing.assert_allclose(step.variance, exact.variance, rtol=40 / levels)
        np.testing.assert_allclose(1 - step.scale, 1 - exact.scale, rtol=40 / levels)
    exact = transition(VE, level - 1 / (levels - 1), level)
    np.testing.assert_allclose(
        SMLDChain(levels=levels)(VE, s, t).variance, exact.variance, rtol=2e-3
    )


@each_sde_slowly
def test_the_euler_posterior_is_that_of_its_step(sde):
    """By the covariance matrix of ``x_s`` and ``x_t = c x_s + sqrt(v) noise``, given ``x_0``."""
    with jax.enable_x64(True):
        t = jnp.asarray(0.4)
        scale, variance, posterior = EulerChain(steps=50)(sde, t, t)
        before = sde.sigma(t - 1 / 50) ** 2
        expected = before - (scale * before) ** 2 / (scale**2 * before + variance)
        np.testing.assert_allclose(posterior, expected, rtol=1e-9)
        assert EulerChain(steps=50)(sde, t, jnp.asarray(0.01)).posterior_variance >= 0


@each_sde_slowly
def test_the_exact_posterior_is_that_of_its_step(sde):
    with jax.enable_x64(True):
        s, t = jnp.asarray(0.3), jnp.asarray(0.4)
        scale, variance, posterior = transition(sde, s, t)
        before = sde.sigma(s) ** 2
        expected = before - (scale * before) ** 2 / (scale**2 * before + variance)
        np.testing.assert_allclose(posterior, expected, rtol=1e-9)


ERRORS = [
    (lambda: DDPMChain(levels=1), "`levels` must be at least 2: got levels=1."),
    (lambda: SMLDChain(levels=0), "`levels` must be at least 2: got levels=0."),
    (lambda: EulerChain(steps=0), "`steps` must be at least 1: got steps=0."),
]


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_wrong_counts_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize("name", ["subvp", "ve"])
def test_ddpm_needs_a_unit_variance(name):
    t = jnp.asarray(0.5)
    message = r"^`DDPMChain` discretizes processes that preserve a unit variance, such as VP: got "
    with pytest.raises(ValueError, match=message):
        jax.jit(lambda t: DDPMChain()(SDES[name], t, t))(t)


def test_ddpm_needs_betas_below_one():
    message = r"^`levels` must exceed g\(1\)\^2 = 20 of VP\(.*\): got levels=20\.$"
    with pytest.raises(ValueError, match=message):
        DDPMChain(levels=20).sigma(VP, jnp.asarray(0.5))
    assert DDPMChain(levels=21).sigma(VP, jnp.asarray(1.0)) > 0.99


@pytest.mark.parametrize("name", ["vp", "ou"])
def test_smld_needs_a_process_without_drift(name):
    message = r"^`SMLDChain` discretizes processes without a drift, such as VE: got "
    with pytest.raises(ValueError, match=message):
        SMLDChain()(SDES[name], jnp.asarray(0.4), jnp.asarray(0.5))
