"""Simulators against the moments and distributions of their definitions, and their box."""

import jax
import numpy as np
import pytest
from scipy.stats import kstest, norm

from sde_jax.api.given_data import GIVEN, source_of
from sde_jax.data import (
    SLCP,
    BoxScaling,
    GaussianLinearUniform,
    GaussianMixtureMean,
    TwoMoons,
)

SIMULATORS = [TwoMoons(), SLCP(), GaussianLinearUniform(), GaussianMixtureMean()]
COUNT = 20_000


def repeated(simulator, parameters):
    """Many simulations of the same parameters."""
    rows = np.tile(np.asarray(parameters, float), (COUNT, 1))
    return simulator.simulate(np.random.default_rng(3), rows)


def test_two_moons_are_a_half_ring():
    p, q = 0.3, -0.7
    x = repeated(TwoMoons(), (p, q))
    u, v = (x - [0.25 - abs(p + q) / 2**0.5, (q - p) / 2**0.5]).T
    assert kstest(np.hypot(u, v), norm(0.1, 0.01).cdf).pvalue > 1e-3
    assert kstest(np.arctan2(v, u) / np.pi + 0.5, "uniform").pvalue > 1e-3


def test_two_moons_have_mirror_images():
    rng = np.random.default_rng(0)
    parameters = rng.uniform(-1, 1, (5, 2))
    first, second = (
        TwoMoons().simulate(np.random.default_rng(1), rows)
        for rows in (parameters, -parameters[:, ::-1])
    )
    np.testing.assert_allclose(first, second, atol=1e-12)


def test_slcp_has_the_moments_of_its_parameters():
    x = repeated(SLCP(), (0.5, -1.5, -1.2, 0.8, -0.6)).reshape(COUNT, 4, 2)
    covariance = np.cov(x.reshape(-1, 2).T)
    first, second, correlation = 1.2**2, 0.8**2, np.tanh(-0.6)
    np.testing.assert_allclose(x.mean(axis=(0, 1)), [0.5, -1.5], atol=0.02)
    expected = [[first**2, correlation * first * second], [correlation * first * second, second**2]]
    np.testing.assert_allclose(covariance, expected, atol=0.03)
    # The four points are independent.
    between = np.corrcoef(x.reshape(COUNT, 8).T)
    np.testing.assert_allclose(between[:2, 2:], 0, atol=0.03)


def test_gaussian_simulators_have_their_noise():
    parameters = np.linspace(-0.8, 0.9, 10)
    x = repeated(GaussianLinearUniform(), parameters)
    white = (x - parameters) / 0.1**0.5
    assert kstest(white.ravel(), "norm").pvalue > 1e-3
    np.testing.assert_allclose(np.corrcoef(white.T), np.eye(10), atol=0.04)

    left = repeated(GaussianMixtureMean(), (3.0, -8.0)) - [3.0, -8.0]

    def mixture(values):
        return (norm.cdf(values) + norm.cdf(values, scale=0.1)) / 2

    for column in left.T:
        assert kstest(column, mixture).pvalue > 1e-3
    # Both coordinates have the same component.
    assert np.corrcoef(np.abs(left).T)[0, 1] > 0.3


@pytest.mark.parametrize("simulator", SIMULATORS, ids=lambda one: type(one).__name__)
def test_parameters_are_uniform_and_come_with_their_simulation(simulator):
    parameters, simulations = simulator.simulations()
    assert len(parameters) == len(simulations) == 10_000
    low, high = simulator.prior.low, simulator.prior.high
    for column, lower, upper in zip(parameters.T, low, high, strict=True):
        assert kstest(column, "uniform", (lower, upper - lower)).pvalue > 1e-3
    source = simulator.load()
    assert dict(source.sizes) == {"train": 9000, "test": 1000}
    batch = next(source.batches(jax.random.key(0), "test", 7))
    np.testing.assert_allclose(batch.condition, simulations[9000:9007], rtol=1e-6)
    np.testing.assert_allclose(source.scaling.to_unit(batch.x), parameters[9000:9007], atol=1e-5)
    assert source.condition_size == simulations.shape[1]
    assert (source.shape, source.scaling) == simulator.layout()


def test_a_seed_fixes_the_simulations():
    again = [TwoMoons(count=20, seed=seed).simulations()[1] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(again[0], again[1])
    assert not np.allclose(again[0], again[2])


def test_a_box_has_the_density_of_its_map():
    box = BoxScaling(low=(-1.0, 2.0), high=(1.0, 7.0))
    x = np.random.default_rng(0).normal(size=(6, 2))
    data = box.to_unit(x)
    np.testing.assert_allclose(box.to_model(data), x, rtol=1e-6)
    # Unit Gaussian model coordinates are uniform data.
    log = norm.logpdf(x).sum(axis=1) + 2 * box.log_slope(x)
    np.testing.assert_allclose(log, -np.log(2 * 5), rtol=1e-12)
    step = 1e-6
    slope = (box.to_unit(x + step) - box.to_unit(x - step)) / (2 * step)
    np.testing.assert_allclose(-2 * box.log_slope(x), np.log(slope).sum(axis=1), rtol=1e-6)
    far = box.to_unit(np.array([[-40.0, 40.0]]))
    np.testing.assert_array_equal(far, [[-1.0, 7.0]])


def test_parameters_whose_density_is_wanted_lie_within_the_prior():
    layout, inside = TwoMoons().layout(), np.array([[0.5, -0.9], [0.1, 0.2]])
    batch = next(source_of(inside, layout).batches(jax.random.key(0), GIVEN, 2))
    np.testing.assert_allclose(layout.scaling.to_unit(batch.x), inside, rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"bounds of the prior: 1 values do not, .* \[1, 0\]: -1.5"
    ):
        source_of(inside - [[0.0, 0.0], [1.6, 0.0]], layout)


def test_a_box_without_room_is_refused():
    with pytest.raises(ValueError, match="bounds of each coordinate, with `low` below `high`"):
        BoxScaling(low=(0.0, 1.0), high=(1.0, 1.0))
    with pytest.raises(ValueError, match="bounds of each coordinate"):
        BoxScaling(low=(0.0,), high=(1.0, 1.0))
