"""Tests of the kernel distance against its sums written out, and what it must be on average."""

import numpy as np
import pytest

from sde_jax.metrics import kernel
from sde_jax.metrics.kernel import kernel_distance


@pytest.fixture
def random():
    return np.random.default_rng(1)


def by_hand(x, y):
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = np.mean([k(x[i], x[j]) for i in range(n) for j in range(n) if i != j])
    within_y = np.mean([k(y[i], y[j]) for i in range(m) for j in range(m) if i != j])
    return within_x + within_y - 2 * np.mean([k(a, b) for a in x for b in y])


def leave_one_out(x, y):
    """The jackknife's error, row by row."""
    variances = []
    for replicates in (
        [by_hand(np.delete(x, i, axis=0), y) for i in range(len(x))],
        [by_hand(x, np.delete(y, j, axis=0)) for j in range(len(y))],
    ):
        spread = np.asarray(replicates) - np.mean(replicates)
        variances.append((len(replicates) - 1) / len(replicates) * (spread**2).sum())
    return np.sqrt(np.sum(variances))


def test_sums_and_errors_written_out(random, monkeypatch):
    x, y = random.normal(size=(7, 3)), random.normal(size=(5, 3)) + 1
    whole = kernel_distance(x, y)
    np.testing.assert_allclose(whole.value, by_hand(x, y), rtol=1e-12)
    np.testing.assert_allclose(whole.stderr, leave_one_out(x, y), rtol=1e-12)
    monkeypatch.setattr(kernel, "TILE", 2)
    np.testing.assert_allclose(kernel_distance(x, y)[:2], whole[:2], rtol=1e-12)


def test_blocks(random):
    # 11 and 9 rows in three pairs: the last blocks have one more.
    x, y = random.normal(size=(11, 3)), random.normal(size=(9, 3)) + 1
    pairs = [(x[:3], y[:3]), (x[3:7], y[3:6]), (x[7:], y[6:])]
    values = [by_hand(*pair) for pair in pairs]
    estimate = kernel_distance(x, y, block_size=4)
    np.testing.assert_allclose(estimate.value, np.mean(values), rtol=1e-12)
    np.testing.assert_allclose(estimate.stderr, np.std(values, ddof=1) / 3**0.5, rtol=1e-12)
    assert estimate.counts == (11, 9)


def test_it_has_no_bias_and_its_error_is_that_of_draws(random):
    # The mean of k over independent rows of two normal laws, by its expansion: with x.y / D = z,
    # E(z + 1)^3 = 1 + 3 E z + 3 E z^2 + E z^3.
    def mean_kernel(p, q, dimension=2):
        nodes, weights = np.polynomial.hermite_e.hermegauss(8)
        weights = weights / weights.sum()
        grid = np.stack(np.meshgrid(*[nodes] * 4, indexing="ij"), -1).reshape(-1, 2, dimension)
        share = np.prod(np.stack(np.meshgrid(*[weights] * 4, indexing="ij"), -1), -1).ravel()
        a, b = p[0] + p[1] * grid[:, 0], q[0] + q[1] * grid[:, 1]
        return share @ ((a * b).sum(1) / dimension + 1) ** 3

    p, q = (0.7, 0.4), (0.3, 0.6)
    truth = mean_kernel(p, p) + mean_kernel(q, q) - 2 * mean_kernel(p, q)
    for size in (None, 20):
        estimates = [
            kernel_distance(
                p[0] + p[1] * random.normal(size=(60, 2)),
                q[0] + q[1] * random.normal(size=(80, 2)),
                block_size=size,
            )
            for _ in range(300)
        ]
        values, errors = np.asarray([estimate[:2] for estimate in estimates]).T
        assert abs(values.mean() - truth) < 3 * values.std() / 300**0.5
        assert 0.85 < np.sqrt((errors**2).mean()) / values.std() < 1.2


def test_halves_of_one_set_are_at_zero_within_the_error(random):
    halves = random.normal(size=(2, 400, 16)) + 0.5
    for size in (None, 50):
        estimate = kernel_distance(*halves, block_size=size)
        assert abs(estimate.value) < 3 * estimate.stderr


def test_what_is_refused(random):
    points = random.normal(size=(9, 3))
    with pytest.raises(ValueError, match="3 images or more: got 2"):
        kernel_distance(points[:2], points)
    with pytest.raises(ValueError, match="cuts 9 and 9 images into 5 blocks. Use larger"):
        kernel_distance(points, points, block_size=2)
    with pytest.raises(ValueError, match="same dimension: got 3 and 2"):
        kernel_distance(points, points[:, :2])
