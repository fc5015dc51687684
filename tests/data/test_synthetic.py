import itertools
import math

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sde_jax.data import Checkerboard, GaussianMixture, Ring, SwissRoll, source

ALL = [Ring(), GaussianMixture(), SwissRoll(), Checkerboard()]
COUNT = 20_000


def draw(distribution, key, count=COUNT):
    batch = next(distribution.load().stream(key, "train", count))
    assert batch.x.shape == (count, 2) and batch.x.dtype == np.float32
    return batch._replace(x=np.asarray(batch.x, np.float64))


def polar(x):
    return np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])


def assert_mean(values, mean, deviation, sigmas=5):
    z = (values.mean() - mean) / (deviation / math.sqrt(len(values)))
    assert abs(z) < sigmas, f"z = {z:.1f}"


def test_ring(key):
    ring = Ring(radius=1.2, deviation=0.15)
    radius, angle = polar(draw(ring, key).x)
    assert_mean(radius, 1.2, 0.15)
    assert_mean((radius - 1.2) ** 2, 0.15**2, 0.15**2 * math.sqrt(2))
    for order in 1, 2, 3:
        assert_mean(np.cos(order * angle), 0, math.sqrt(0.5))
        assert_mean(np.sin(order * angle), 0, math.sqrt(0.5))


def test_mixture(key):
    mixture = GaussianMixture(components=3, radius=2.0, deviation=0.3)
    x, label, _ = draw(mixture, key)
    means = 2.0 * np.array([[1, 0], [-0.5, math.sqrt(0.75)], [-0.5, -math.sqrt(0.75)]])
    share = np.bincount(label, minlength=3) / COUNT
    assert np.abs(share - 1 / 3).max() < 5 * math.sqrt(2 / 9 / COUNT)
    offset = x - means[np.asarray(label)]
    for component, coordinate in itertools.product(range(3), range(2)):
        values = offset[np.asarray(label) == component, coordinate]
        assert_mean(values, 0, 0.3)
        assert_mean(values**2, 0.09, 0.09 * math.sqrt(2))


def test_swiss_roll(key):
    """The angle is seven times the radius, uniform over one and a half turns."""
    x = draw(SwissRoll(deviation=1e-4), key).x
    radius, angle = polar(x)
    assert np.abs(np.exp(1j * 7 * radius) - np.exp(1j * angle)).max() < 0.01
    uniform = (7 * radius / math.pi - 1.5) / 3
    assert uniform.min() > -0.001 and uniform.max() < 1.001
    assert_mean(uniform, 0.5, math.sqrt(1 / 12))
    assert_mean(uniform**2, 1 / 3, math.sqrt(4 / 45))
    noisy = draw(SwissRoll(deviation=0.2), key).x - draw(SwissRoll(deviation=1e-9), key).x
    assert_mean(noisy.ravel(), 0, 0.2)
    assert_mean(noisy.ravel() ** 2, 0.04, 0.04 * math.sqrt(2))


def test_checkerboard(key):
    board = Checkerboard(squares=4, half_width=2.0)
    x = draw(board, key).x
    cell = np.floor(x + 2).astype(int)
    assert cell.min() == 0 and cell.max() == 3
    assert (cell.sum(axis=1) % 2 == 0).all(), "mass on a light square"
    shares = np.unique(cell, axis=0, return_counts=True)[1] / COUNT
    assert len(shares) == 8
    assert np.abs(shares - 1 / 8).max() < 5 * math.sqrt(7 / 64 / COUNT)
    for coordinate in (x + 2 - cell).T:
        assert_mean(coordinate, 0.5, math.sqrt(1 / 12))
        assert_mean(coordinate**2, 1 / 3, math.sqrt(4 / 45))


@pytest.mark.parametrize("distribution", ALL, ids=lambda d: type(d).__name__)
def test_about_unit_deviation(distribution, key):
    np.testing.assert_allclose(draw(distribution, key).x.std(axis=0), 1, atol=0.08)


def test_stream_is_fresh_and_resumes(key):
    source = Ring().load()
    unbroken = [b.x for b in itertools.islice(source.stream(key, "train", 64), 5)]
    resumed = [b.x for b in itertools.islice(source.stream(key, "train", 64, start=3), 2)]
    np.testing.assert_array_equal(unbroken[3:], resumed)
    assert len(np.unique(np.concatenate(unbroken), axis=0)) == 5 * 64


def test_test_split_is_fixed_and_complete(key):
    source = Checkerboard().load()
    whole = next(source.batches(key, "test", 10_000)).x
    assert len(whole) == source.sizes["test"] == 10_000
    parts = [b.x for b in source.batches(jax.random.fold_in(key, 1), "test", 96, count=200)]
    assert [len(part) for part in parts] == [96, 96, 8]
    np.testing.assert_array_equal(np.concatenate(parts), whole[:200])
    train = next(source.batches(key, "train", 96)).x
    assert not set(map(bytes, np.asarray(train))) & set(map(bytes, np.asarray(whole)))


@pytest.mark.slow("tests/data/test_array_source.py::test_one_and_eight_devices_give_the_same")
def test_one_and_eight_devices_give_the_same(key):
    source = GaussianMixture().load()
    mesh = Mesh(np.array(jax.devices()), ("data",))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    for size in 16, 9:
        one = next(source.stream(key, "train", size))
        many = next(source.stream(key, "train", size, sharding=sharding))
        assert len(many.x.sharding.device_set) == 8
        np.testing.assert_allclose(one.x, many.x, atol=1e-6)
        np.testing.assert_array_equal(one.label, many.label)


def test_equal_specs_compile_once(key):
    next(Ring(radius=1.1).load().stream(key, "train", 11))
    before = source._batch._cache_size()
    next(Ring(radius=1.1).load().stream(key, "train", 11))
    assert source._batch._cache_size() == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ring(radius=0), "`radius` must be positive and finite: got radius=0"),
        (
            lambda: SwissRoll(deviation=math.nan),
            "`deviation` must be positive and finite: got deviation=nan",
        ),
        (lambda: GaussianMixture(components=-1), "`components` must be positive and finite: got"),
        (
            lambda: Checkerboard(squares=3),
            "`squares` must be even, .*: got 3",
        ),
    ],
)
def test_bad_fields(make, message):
    with pytest.raises(ValueError, match=message):
        make()
