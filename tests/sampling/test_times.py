"""Grids of times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, each_sde_slowly

from sde_jax.sampling import (
    KarrasGrid,
    LogSNRGrid,
    ProbabilityFlow,
    PublishedGrid,
    UniformGrid,
)


@each_sde_slowly
def test_a_uniform_grid_leads_from_one_to_the_end(sde):
    times = UniformGrid(steps=10)(sde)
    assert times.shape == (11,)
    assert times[0] == 1.0
    assert times[-1] == sde.sampling_end
    np.testing.assert_allclose(np.diff(times), -(1 - sde.sampling_end) / 10, rtol=1e-4)
    assert UniformGrid(steps=3, t_min=0.25)(sde)[-1] == 0.25


@each_sde_slowly
def test_a_published_grid_steps_from_its_end_as_well(sde):
    times = PublishedGrid(steps=10)(sde)
    np.testing.assert_allclose(times[:-1], np.linspace(1.0, sde.sampling_end, 10), atol=1e-7)
    assert times[-1] == times[-2] == sde.sampling_end
    assert PublishedGrid(steps=3, t_min=0.25)(sde)[-1] == 0.25


@each_sde_slowly
def test_grids_of_noise_are_those_of_the_papers(sde):
    """Equal ratios, and equation 5 of Karras et al. 2022, which ends at its smallest level."""
    first = float(sde.noise_to_signal(jnp.asarray(1.0)))
    noise = sde.noise_to_signal(LogSNRGrid(steps=6, last=0.02)(sde))
    np.testing.assert_allclose(noise, np.geomspace(first, 0.02, 7), rtol=2e-4)
    noise = sde.noise_to_signal(KarrasGrid(steps=6, last=0.02)(sde))
    levels = (first ** (1 / 7) + np.arange(7) / 6 * (0.02 ** (1 / 7) - first ** (1 / 7))) ** 7
    np.testing.assert_allclose(noise, levels, rtol=2e-4)
    for grid in (LogSNRGrid(steps=6), KarrasGrid(steps=6, rho=3.0)):
        times = grid(sde)
        assert times[0] == 1.0 and (np.diff(times) < 0).all()
        np.testing.assert_allclose(sde.noise_to_signal(times[-1]), 0.01, rtol=1e-3)


def test_noise_that_a_process_does_not_have_is_refused():
    for last in (0.001, 50.0):
        for grid in (LogSNRGrid, KarrasGrid):
            with pytest.raises(ValueError, match=r"^`last` must be at least 0.01 and below 50, "):
                jax.jit(lambda _, grid=grid, last=last: grid(steps=3, last=last)(SDES["ve"]))(0.0)


@pytest.mark.parametrize("name", ["ve", "cosine"])
def test_zero_is_an_end_where_noise_remains(name):
    assert UniformGrid(steps=3, t_min=0.0)(SDES[name])[-1] == 0.0


@pytest.mark.parametrize("name", ["vp", "subvp", "ou", "flow-matching"])
def test_zero_is_refused_where_the_score_is_singular(name):
    def grid(_):
        return UniformGrid(steps=3, t_min=0.0)(SDES[name])

    for call in (grid, jax.jit(grid)):
        with pytest.raises(ValueError, match=r"`t_min` must be positive for .*: got t_min=0.0"):
            call(jnp.zeros(()))


@pytest.mark.parametrize("grid", [LogSNRGrid, KarrasGrid])
def test_wrong_grids_of_noise_are_refused(grid):
    with pytest.raises(ValueError, match=r"^`steps` must be at least 1: got steps=0\.$"):
        grid(steps=0)
    with pytest.raises(ValueError, match=r"^`last` must be None or positive: got last=0\.$"):
        grid(steps=1, last=0)
    with pytest.raises(ValueError, match=r"^`rho` must be positive: got rho=0\.$"):
        KarrasGrid(steps=1, rho=0)


@pytest.mark.parametrize("grid", [UniformGrid, PublishedGrid])
def test_wrong_grids_are_refused(grid):
    with pytest.raises(ValueError, match=r"^`steps` must be at least 1: got steps=0\.$"):
        grid(steps=0)
    message = r"^`t_min` must be None or in \[0, 1\): got t_min=1\.0\.$"
    with pytest.raises(ValueError, match=message):
        grid(steps=1, t_min=1.0)
    with pytest.raises(ValueError, match=message):
        ProbabilityFlow(t_min=1.0)
