"""Tests of files of statistics: ours, score_sde's and EDM's, and those that are none."""

import numpy as np
import pytest

from sde_jax.interop.statistics_file import (
    Reference,
    StatisticsFileError,
    read_reference,
    write_reference,
)
from sde_jax.metrics.frechet import fit_gaussian, frechet_distance
from sde_jax.metrics.moments import StreamingMoments


@pytest.fixture
def rows():
    return np.random.default_rng(1).normal(size=(57, 3)) @ np.triu(np.ones((3, 3))) + 0.7


def gaussian_of(rows):
    stream = StreamingMoments(3)
    stream.add(rows)
    return fit_gaussian(*stream.result())


@pytest.fixture
def ours(rows, tmp_path):
    """A file of ours."""
    features = rows.astype(np.float32)
    identity = {"data": "Ring", "count": 57}
    written = Reference(identity, gaussian_of(rows), features, None, np.arange(57))
    write_reference(tmp_path / "ours.npz", written)
    return tmp_path / "ours.npz", written


def test_what_was_written_is_read(ours, rows):
    path, written = ours
    read = read_reference(path)
    assert read.identity == {"data": "Ring", "count": 57}
    assert read.gaussian.count == 57
    np.testing.assert_allclose(read.gaussian.covariance, np.cov(rows, rowvar=False), rtol=1e-12)
    other = gaussian_of(rows + 0.1)
    assert frechet_distance(other, read.gaussian) == frechet_distance(other, written.gaussian)
    np.testing.assert_array_equal(read.features, written.features)
    np.testing.assert_array_equal(read.labels, np.arange(57))
    assert read.logits is None


def test_other_programs_read_mean_and_covariance_in_ours(ours, rows):
    with np.load(ours[0]) as file:
        np.testing.assert_allclose(file["mu"], rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(file["sigma"], np.cov(rows, rowvar=False), rtol=1e-12)


@pytest.mark.parametrize("logits", [None, 7])
def test_features_of_score_sde(tmp_path, rows, logits):
    arrays = {"pool_3": rows.astype(np.float32)}
    if logits is not None:
        arrays["logits"] = rows[:, [0] * logits]
    np.savez_compressed(tmp_path / "cifar10_stats.npz", **arrays)
    read = read_reference(tmp_path / "cifar10_stats.npz")
    assert read.identity["published"] == "score_sde"
    assert read.identity["features"] == "inception"
    assert (read.identity["features.dimension"], read.identity["count"]) == (3, 57)
    expected = np.cov(arrays["pool_3"].astype(float), rowvar=False)
    np.testing.assert_allclose(read.gaussian.covariance, expected, rtol=1e-12)
    assert [group.count for group in read.gaussian.groups] == [6] * 7 + [5] * 3
    np.testing.assert_array_equal(read.features, arrays["pool_3"])
    assert read.features.dtype == np.float32
    assert (read.logits is None) == (logits is None)


def test_mean_and_covariance_of_edm(tmp_path, rows):
    covariance = np.cov(rows, rowvar=False)
    np.savez(tmp_path / "cifar10-32x32.npz", mu=rows.mean(axis=0), sigma=covariance)
    read = read_reference(tmp_path / "cifar10-32x32.npz")
    assert read.identity["published"] == "EDM"
    np.testing.assert_array_equal(read.gaussian.covariance, covariance)
    assert read.gaussian.count is None
    assert read.features is None
    distance = frechet_distance(read.gaussian, read.gaussian)
    assert distance.value == pytest.approx(0, abs=1e-12)
    assert np.isnan(distance.stderr)


NOT_FINITE = np.array([[0.0, 1.0], [np.nan, 1.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"images": np.ones(3), "x": np.ones(1)}, "neither .* but images, x"),
        ({}, "but nothing"),
        ({"pool_3": np.ones((3, 4, 1))}, r"`pool_3` must be .*: got shape \(3, 4, 1\)"),
        ({"pool_3": np.ones((1, 4))}, "needs 2 images or more: got 1"),
        ({"pool_3": NOT_FINITE}, "must be finite"),
        ({"pool_3": np.eye(3), "logits": np.eye(2)}, "`logits` must have the 3 rows"),
        ({"mu": np.ones(3), "sigma": np.eye(2)}, r"got shapes \(3,\) and \(2, 2\)"),
        ({"mu": np.ones(3), "sigma": np.full((3, 3), np.inf)}, "must be finite"),
        ({"pool_3": np.array([[{}]])}, "which is no array of plain values"),
        ({"about": np.array('{"arrays": ["means"]}')}, "these are no statistics: 'means'"),
        ({"about": np.array('{"arrays": []}')}, "these are no statistics: 'means'"),
        ({"about": np.array("[")}, "these are no statistics"),
    ],
)
def test_what_holds_no_statistics(tmp_path, arrays, complaint):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(StatisticsFileError, match=complaint) as error:
        read_reference(tmp_path / "x.npz")
    assert str(error.value).startswith(f"{tmp_path}/x.npz")
    assert "\n" not in str(error.value)


def test_any_damage_is_one_line(ours):
    path, _ = ours
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for cut in generator.integers(0, len(whole), 60):
        path.write_bytes(whole[:cut])
        with pytest.raises(StatisticsFileError) as error:
            read_reference(path)
        assert "\n" not in str(error.value)
    for place in generator.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(bytes(damaged))
        try:
            read = read_reference(path)
        except StatisticsFileError as error:
            assert "\n" not in str(error)
        else:
            assert read.gaussian.count == 57


def test_no_file_is_no_statistics(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_reference(tmp_path / "none.npz")
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(StatisticsFileError):
        read_reference(tmp_path / "array.npz")
