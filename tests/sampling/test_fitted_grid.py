"""Fitted time grids: the optimum of brute-force searches, and better than fixed spacings."""

import dataclasses
import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, each_sde_slowly, keys, plane_mixture
from scipy.optimize import brute

from sde_jax.sampling import (
    ExponentialAdams,
    FittedGrid,
    KarrasGrid,
    LogSNRGrid,
    UniformGrid,
    fit_grid,
)
from sde_jax.sampling.fitting import _Pilots, _plan
from sde_jax.score import GaussianMixture, MixtureScore

LEAST = 0.05


@functools.cache
def three_deviations():
    """A Gaussian whose coordinates cannot all be drawn without error by the same few steps."""
    variances = jnp.asarray([[2.0, 0.4, 0.1]]) ** 2
    return GaussianMixture(jnp.ones(1), jnp.asarray([[0.7, -0.3, 0.1]]), variances)


def brute_force(sampler, sde, score, pilots, steps):
    """The levels of least error for the pilots, from a search over all levels and a refinement."""
    most = float(sde.noise_to_signal(jnp.asarray(1.0)))
    free = sampler.end == "denoised"
    shape = score.mixture.means.shape[1:]

    def ends(times):
        there = dataclasses.replace(sampler, grid=lambda sde: times)
        return there(pilots, score, sde, shape).x

    times = LogSNRGrid(steps=300, last=LEAST)(sde)
    exact = jax.jit(ends)(times)

    @jax.jit
    def error(logs):
        inner = jnp.exp(logs) if free else jnp.append(jnp.exp(logs), LEAST)
        times = jnp.append(1.0, sde.time_of(inner))
        return jnp.where(jnp.diff(times).max() < 0, ((ends(times) - exact) ** 2).mean(), jnp.inf)

    span = slice(np.log(LEAST), np.log(most), (np.log(most) - np.log(LEAST)) / 30)
    found, value, *_ = brute(
        lambda logs: np.nan_to_num(float(error(logs)), nan=np.inf),
        [span] * (steps if free else steps - 1),
        full_output=True,
    )
    return np.exp(np.atleast_1d(found)), value, error


@pytest.mark.slow("test_dynamic_programming_finds_the_path_of_least_local_errors")
@pytest.mark.parametrize(
    ("steps", "end", "off"), [(2, "state", 0.03), (3, "state", 0.03), (2, "denoised", 0.15)]
)
def test_times_of_a_gaussian_are_those_of_a_search_over_all_times(steps, end, off, key):
    """At full order: bounded orders make the error jump where they change.

    With a free end the error is flat: a percent more of it moves a level by .15.
    """
    with jax.enable_x64(True):
        sde, pilots = SDES["flow-matching"], keys(key, 512)
        score = MixtureScore(three_deviations(), sde)
        spacing = LogSNRGrid(steps=steps, last=LEAST)
        sampler = ExponentialAdams(grid=spacing, end=end, orders="full")
        grid = fit_grid(pilots, score, sde, (3,), sampler)
        best, least, error = brute_force(sampler, sde, score, pilots, steps)
        assert len(grid.levels) == steps
        logs = np.log(grid.levels[: len(best)])
        np.testing.assert_allclose(logs, np.log(best), atol=off)
        assert float(error(logs)) < 1.01 * least


def test_dynamic_programming_finds_the_path_of_least_local_errors():
    """Against all paths of a small example, for a fixed and for a free end."""
    rng = np.random.default_rng(0)
    levels = np.geomspace(20.0, 0.1, 8).astype(np.float32)
    y, means = rng.normal(size=(2, 8, 5, 3)).astype(np.float32)
    y *= np.sqrt(1 + levels**2)[:, None, None]
    spread = y.var(axis=1).mean(axis=1)

    def local(i, j):
        there = means[i] + (y[i] - means[i]) * levels[j] / levels[i]
        return ((there - y[j]) ** 2).mean() * spread[-1] / spread[j]

    for free, lasts in [(False, [7]), (True, range(3, 8))]:
        paths = [
            (0, *inner, last)
            for last in lasts
            for inner in itertools.combinations(range(1, last), 2)
        ]
        best = min(
            paths,
            key=lambda path: (
                sum(itertools.starmap(local, itertools.pairwise(path)))
                + free * ((means[path[-1]] - means[-1]) ** 2).mean()
            ),
        )
        planned = _plan(_Pilots(*map(jnp.asarray, (levels, y, means))), 3, free=free)
        np.testing.assert_allclose(planned, levels[list(best[1:])], rtol=1e-6)


@pytest.mark.slow("test_dynamic_programming_finds_the_path_of_least_local_errors")
@pytest.mark.parametrize("steps", [4, 8])
def test_fitted_times_are_better_than_every_spacing_for_other_samples(steps, key):
    sde, data = SDES["vp"], plane_mixture()
    score, end = MixtureScore(data, sde), float(sde.sampling_end)
    key_fit, key_test = jax.random.split(key)
    fitted = fit_grid(
        keys(key_fit, 128), score, sde, (2,), ExponentialAdams(grid=LogSNRGrid(steps=steps))
    )

    def draw(grid):
        run = jax.jit(lambda keys: ExponentialAdams(grid=grid)(keys, score, sde, (2,)).x)
        return np.asarray(run(keys(key_test, 1000)))

    exact = draw(LogSNRGrid(steps=300))
    grids = (
        fitted,
        LogSNRGrid(steps=steps),
        KarrasGrid(steps=steps),
        UniformGrid(steps=steps, t_min=end),
    )
    ours, *others = (np.mean((draw(grid) - exact) ** 2) ** 0.5 for grid in grids)
    assert ours < min(others), (ours, others)


@each_sde_slowly
def test_a_fitted_grid_is_at_its_levels(sde):
    times = FittedGrid(levels=(5.0, 0.3, 0.0101))(sde)
    assert times[0] == 1.0
    np.testing.assert_allclose(sde.noise_to_signal(times[1:]), [5.0, 0.3, 0.0101], rtol=1e-4)


@pytest.mark.parametrize("levels", [(), (1.0, 1.0), (0.1, 0.2), (0.1, 0.0), (float("nan"),)])
def test_levels_that_do_not_decrease_are_refused(levels):
    with pytest.raises(ValueError, match=r"^`levels` must be one or more positive numbers that de"):
        FittedGrid(levels=levels)


def test_levels_that_a_process_does_not_have_are_refused():
    message = (
        "`levels` must be at least 0.01 and below 50, the noise that VE(sigma_min=0.01, "
        "sigma_max=50.0) has: got levels=(60.0, 0.1)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FittedGrid(levels=(60.0, 0.1))(SDES["ve"])


def test_what_cannot_be_fitted_is_refused(key):
    grid, score = LogSNRGrid(steps=3), MixtureScore(plane_mixture(), SDES["vp"])
    with pytest.raises(ValueError, match=r"^`sampler` must follow the flow, without noise: got E"):
        fit_grid(keys(key, 4), score, SDES["vp"], (2,), ExponentialAdams(grid=grid, eta=1.0))
    with pytest.raises(ValueError, match=r"^`keys` must be two or more, one for each pilot: got 1"):
        fit_grid(keys(key, 1), score, SDES["vp"], (2,), ExponentialAdams(grid=grid))
