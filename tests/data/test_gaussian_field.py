"""Gaussian fields against brute force over their modes, and the measures of their report."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from experiments.studies.field_quality import expected_spectrum, measures, spectrum
from sde_jax.data import GaussianField

SMALL = GaussianField(sizes=(2, 3), length=1.3, smoothness=0.8)
COUNT = 4000


def draws(field, key):
    return np.asarray(next(field.load().stream(key, "train", COUNT)).x)


def covariance_by_modes(field):
    """A sum of cosines, one for each wave vector of the torus, by their power."""
    axes = [[2 * math.pi * n / (2 * size) for n in range(-size, size)] for size in field.sizes]
    order = field.smoothness + len(field.sizes) / 2
    waves = np.array(list(itertools.product(*axes)))
    power = (1 + field.length**2 * (waves**2).sum(axis=1)) ** -order
    places = np.array(list(itertools.product(*map(range, field.sizes))))
    turns = np.einsum("kd,ijd->kij", waves, places[:, None] - places[None])
    return np.einsum("k,kij->ij", power / power.sum(), np.cos(turns))


def test_the_covariance_is_that_of_its_spectrum():
    for field in (SMALL, GaussianField(sizes=(5,)), GaussianField(sizes=(2, 1, 3), length=2.0)):
        expected = covariance_by_modes(field)
        np.testing.assert_allclose(field.covariance(), expected, atol=1e-12)
        np.testing.assert_allclose(np.diag(expected), 1.0)


def test_density_and_entropy_are_those_of_the_gaussian(key):
    x, gaussian = draws(SMALL, key)[:5], multivariate_normal(cov=covariance_by_modes(SMALL))
    expected = gaussian.logpdf(x.reshape(5, -1))
    np.testing.assert_allclose(SMALL.log_density(x), expected, rtol=1e-6)
    np.testing.assert_allclose(SMALL.entropy, gaussian.entropy(), rtol=1e-9)


def test_draws_have_its_covariance(key):
    x = draws(SMALL, key)
    assert x.shape == (COUNT, 2, 3, 1) and x.dtype == np.float32
    flat, exact = x.reshape(COUNT, -1), SMALL.covariance()
    error = np.sqrt((1 + exact**2) / COUNT)
    assert np.all(np.abs(flat.T @ flat / COUNT - exact) < 5 * error)
    assert SMALL.layout().shape == SMALL.load().shape == (2, 3, 1)


def test_the_exact_spectrum_is_that_of_each_mode():
    field = GaussianField(sizes=(6,), length=2.0)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(6), np.arange(6)) / 6) / math.sqrt(6)
    power = np.einsum("ka,ab,kb->k", waves, field.covariance(), waves.conj()).real
    folded = [power[0], (power[1] + power[5]) / 2, (power[2] + power[4]) / 2, power[3]]
    np.testing.assert_allclose(expected_spectrum(field), folded, rtol=1e-10)
    x = np.random.default_rng(0).normal(size=(2, 6, 1))
    np.testing.assert_allclose(
        spectrum(x).sum(axis=1) + spectrum(x)[:, 1:3].sum(axis=1), (x**2).sum(axis=(1, 2))
    )


@pytest.mark.parametrize("sizes", [(64,), (6, 8)])
def test_draws_pass_the_measures_and_those_of_another_length_do_not(sizes, key):
    field, other = (GaussianField(sizes=sizes, length=length) for length in (3.0, 3.6))
    good, bad = (measures(field, draws(each, key)) for each in (field, other))
    assert good["within"] > 0.75 and good["largest z"] < 4.5
    assert bad["within"] < 0.5 and bad["largest z"] > 6
    assert abs(good["deviation"] - 1) < 0.02


def test_bad_fields_are_refused():
    for sizes, rule in (((), "one to three"), ((3, 0), "one to three"), ((65, 64), "at most 4096")):
        with pytest.raises(ValueError, match=rf"`sizes` must .*{rule}"):
            GaussianField(sizes=sizes)
    with pytest.raises(ValueError, match="`length` must be positive and finite"):
        GaussianField(length=0.0)
