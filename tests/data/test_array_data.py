"""Arrays of any numbers as data: their scaling, splits, batches and densities."""

import dataclasses
import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from sde_jax.data import ArraySource, ChannelScaling, DataNotFoundError, NumberFile
from sde_jax.data.measuring import PIECE, Statistics
from sde_jax.likelihood import ExactTrace, Likelihood
from sde_jax.ode import AdaptiveSolver
from sde_jax.recipes.protocols import flow_density
from sde_jax.recipes.serialization import from_config, to_config
from sde_jax.runs.measurement import concatenate, measure
from sde_jax.score import GaussianMixture, MixtureScore
from sde_jax.sde import VP

SDE = VP(beta_max=60.0)
"""One whose prior is that of any data of about unit size, to 1e-6."""
MEAN, COVARIANCE = np.array([3.0, -40.0]), np.array([[0.5, 1.0], [1.0, 9.0]])


def saved(folder, values, name="x.npy"):
    """The spec of a file of these numbers."""
    np.save(folder / name, values)
    return NumberFile(path=str(folder / name))


def table_of(scaling, count=400):
    """Numbers that are Gaussian, or whose logarithms are; and their log density in scipy."""
    rng = np.random.default_rng(3)
    gaussian = scipy.stats.multivariate_normal(MEAN / 10, COVARIANCE / 10)
    values = gaussian.rvs(count, random_state=rng)
    if scaling == "log":
        return np.exp(values), lambda d: gaussian.logpdf(np.log(d)) - np.log(d).sum(axis=1)
    return values, gaussian.logpdf


def exact_score(spec):
    """The score of the scaled table: a Gaussian in model coordinates."""
    scaling = spec.layout().scaling
    widths = np.array(scaling.widths)
    mean, covariance = (MEAN / 10 - scaling.centers) / widths, COVARIANCE / 10
    mixture = GaussianMixture.from_covariances(
        jnp.ones(1),
        jnp.asarray(mean[None], jnp.float32),
        jnp.asarray((covariance / np.outer(widths, widths))[None], jnp.float32),
    )
    return MixtureScore(mixture, SDE)


@pytest.mark.parametrize(
    "scaling",
    [
        "standardize",
        "log",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("range", "none")),
    ],
)
def test_log_densities_are_those_of_the_data(tmp_path, scaling):
    """The density of the flow of an exact score, in data units, is the closed form of scipy."""
    values, log_density = table_of(scaling)
    spec = dataclasses.replace(saved(tmp_path, values), scaling=scaling, held_out=0.02)
    solver = AdaptiveSolver(rtol=1e-6, atol=1e-6)
    likelihood = Likelihood(solver=solver, t_min=1e-7, divergence=ExactTrace())
    density = flow_density(lambda score: score, SDE, likelihood)
    source = spec.load()
    options = {"key": jax.random.key(0), "count": None, "batch_size": 8}
    found = concatenate(measure(density, exact_score(spec), source, "test", **options))
    held_out = values[np.random.default_rng(0).permutation(len(values))[:8]]
    np.testing.assert_allclose(found.nats, log_density(held_out), atol=2e-3)
    np.testing.assert_allclose(found.bits_per_dim, -found.nats / 2 / math.log(2), rtol=1e-6)


def by_hand(values, scaling):
    """Scaled numbers by numpy alone; of integers those of the middle of their bins."""
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    low, high = values.min(axis=0), values.max(axis=0)
    match scaling:
        case "standardize":
            return (values - mean) / deviation
        case "range":
            return 2 * (values - low) / (high - low) - 1
        case "log":
            logs = np.log(values)
            return (logs - logs.mean(axis=0)) / logs.std(axis=0)
    return values


@pytest.mark.parametrize("scaling", ["standardize", "range", "log", "none"])
def test_the_scaling_is_that_of_the_training_split_and_can_be_inverted(tmp_path, scaling):
    """Also far from zero, where float32 has lost the data, and over several parts of a pass."""
    rng = np.random.default_rng(1)
    values = 1e7 + rng.gamma(2.0, [1.0, 30.0], (PIECE // 2 + 900, 2))
    spec = dataclasses.replace(saved(tmp_path, values), scaling=scaling, held_out=0.3).measure()
    order = np.random.default_rng(0).permutation(len(values))
    train = values[order[round(0.3 * len(values)) :]]
    found = spec.measured.scaling.to_model(train[:1000])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(train, scaling)[:1000], rtol=1e-5, atol=1e-5)
    again = spec.measured.scaling.to_unit(found)
    assert np.abs(again - train[:1000]).max() < (1e-4 if scaling != "none" else 2.0)
    assert to_config(spec) == json.loads(json.dumps(to_config(spec)))
    assert from_config(json.loads(json.dumps(to_config(spec))), "data") == spec


def test_statistics_of_parts_are_those_of_the_whole():
    values = np.random.default_rng(0).normal(5, [1e-3, 1.0, 1e3], (70, 3))
    joined = Statistics.of(values[:20]).joined(Statistics.of(values[20:]))
    np.testing.assert_allclose(joined.mean, values.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(joined.deviation, values.std(axis=0), rtol=1e-13)
    np.testing.assert_array_equal(joined.most, values.max(axis=0))


def test_channels_of_signals_and_volumes_have_one_scaling_at_all_places(tmp_path):
    values = np.random.default_rng(0).normal([5, -3], [2, 9], (60, 4, 3, 2)).astype(">f4")
    spec = saved(tmp_path, values).measure()
    assert spec.measured.shape == (4, 3, 2)
    train = spec.load().rows["train"].images
    assert train.shape == (54, 4, 3, 2)
    np.testing.assert_allclose(train.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(axis=(0, 1, 2)), 1, rtol=1e-6)
    scaling = spec.measured.scaling
    x = jnp.asarray(train[:2])
    volume = -12 * np.log(scaling.widths).sum()
    np.testing.assert_allclose(24 * scaling.log_slope(x), volume, rtol=1e-6)
    assert scaling.to_unit(x).dtype == np.float32


def test_log_slope_is_the_log_determinant_that_jax_finds():
    scaling = ChannelScaling(centers=(0.3, -1.0), widths=(2.0, 0.7), log=True)
    data = jnp.asarray([[[0.5, 2.0], [3.0, 1.2], [0.2, 9.0]]])

    def forward(d):
        return (jnp.log(d) - jnp.asarray([[0.3, -1.0]])) / jnp.asarray([[2.0, 0.7]])

    jacobian = jax.jacobian(forward)(data[0]).reshape(6, 6)
    np.testing.assert_allclose(scaling.to_model(data)[0], forward(data[0]), rtol=1e-5)
    slope = scaling.log_slope(jnp.asarray(scaling.to_model(data)))
    np.testing.assert_allclose(6 * slope[0], np.linalg.slogdet(jacobian)[1], rtol=1e-5)


def test_integers_are_spread_over_their_bins_and_come_back(tmp_path, key):
    rng = np.random.default_rng(0)
    values = np.stack([rng.integers(0, 3, 200), rng.integers(500, 900, 200)], axis=1)
    spec = saved(tmp_path, values).measure()
    scaling = spec.measured.scaling
    assert scaling.in_bits and scaling.dequantized
    batches = list(itertools.islice(spec.load().stream(key, "train", 180), 40))
    x = np.concatenate([batch.x for batch in batches])
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=0.01)
    found, counts = np.unique(scaling.to_unit(x), axis=0, return_counts=True)
    order = np.random.default_rng(0).permutation(200)
    known, times = np.unique(values[order[20:]], axis=0, return_counts=True)
    np.testing.assert_array_equal(found, known)
    np.testing.assert_array_equal(counts, 40 * times)


def test_columns_of_integers_beside_others_are_a_density_in_nats(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(f"{i % 5},{i / 7}\n" for i in range(50)))
    spec = NumberFile(path=str(tmp_path / "x.csv")).measure()
    assert spec.measured.scaling.integers == (True, False)
    assert spec.measured.scaling.steps[1] == 0 < spec.measured.scaling.steps[0]
    assert not spec.measured.scaling.in_bits


@pytest.mark.parametrize("values", ["numbers", pytest.param("images", marks=pytest.mark.slow)])
def test_batches_are_the_same_from_the_device_and_from_the_file(tmp_path, key, values):
    rng = np.random.default_rng(0)
    arrays = {
        "numbers": rng.integers(0, 90, (50, 3)),
        "images": rng.integers(0, 256, (50, 4, 4, 1), np.uint8),
    }
    spec = saved(tmp_path, arrays[values])
    sources = [dataclasses.replace(spec, keep=keep).load() for keep in ("device", "file")]
    for batches in (
        [itertools.islice(source.stream(key, "train", 8, start=4), 3) for source in sources],
        [source.batches(key, "test", 2) for source in sources],
    ):
        for one, other in zip(*batches, strict=True):
            np.testing.assert_array_equal(one.x, other.x)


def test_images_in_a_file_are_those_of_a_run_of_images(tmp_path, key):
    """8-bit images have grey levels in bits, bitwise those of other sources."""
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), np.uint8)
    spec = saved(tmp_path, images).measure()
    source, order = spec.load(), np.random.default_rng(0).permutation(40)
    splits = {"train": images[order[4:]], "test": images[order[:4]]}
    reference = ArraySource(splits)
    assert spec.layout() == (reference.shape, reference.scaling)
    for ours, theirs in zip(
        source.batches(key, "test", 3), reference.batches(key, "test", 3), strict=True
    ):
        np.testing.assert_array_equal(ours.x, theirs.x)


def test_a_second_file_is_held_out(tmp_path):
    rng = np.random.default_rng(0)
    train, test = rng.normal(2, 3, (40, 2)), rng.normal(50, 1, (30, 2))
    np.save(tmp_path / "test.npy", test)
    spec = dataclasses.replace(saved(tmp_path, train), test_path=str(tmp_path / "test.npy"))
    source = spec.measure().load()
    assert source.sizes == {"train": 40, "test": 30}
    held_out = np.concatenate([b.x for b in source.batches(jax.random.key(0), "test", 16)])
    np.testing.assert_allclose(held_out, (test - train.mean(0)) / train.std(0), rtol=1e-5)
    np.save(tmp_path / "test.npy", test[:, :1])
    with pytest.raises(ValueError, match=r"must hold examples of shape \[2\] as .* holds \[1\]"):
        dataclasses.replace(spec).measure()


def changed(index, value):
    """Normal numbers, but for one."""
    values = np.random.default_rng(0).normal(size=(30, 3))
    values[index] = value
    return values


@pytest.mark.parametrize(
    ("values", "options", "complaint"),
    [
        (changed((17, 2), np.nan), {}, "has 1 missing value, the first in row 17, column 2"),
        (changed((slice(4, 6), 1), -np.inf), {}, "2 infinite values, the first in row 4, column 1"),
        (
            changed((slice(None), 1), 3),
            {},
            "1 of 3 columns that are constant .*: 1; the first",
        ),
        (changed(0, 1)[:3], {}, "must hold at least 20 examples: it holds 3"),
        (changed(0, 1)[:, None] ** 2, {"scaling": "log"}, None),
        (
            changed((9, 0), 0) ** 2,
            {"scaling": "log"},
            "1 value that is not positive and has no",
        ),
        (np.ones((30, 2), int), {"scaling": "log"}, "must not be log for .* which holds integers"),
        (changed((7, 2), np.nan)[:, None], {}, r"1 missing value, the first at \[7, 0, 2\]"),
        (np.ones((30, 0)), {}, r"holds no numbers: \[30, 0\]"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(tmp_path, values, options, complaint):
    spec = dataclasses.replace(saved(tmp_path, values), **options)
    if complaint is None:
        assert spec.measure().measured is not None
        return
    with pytest.raises(ValueError, match=complaint):
        spec.measure()


def test_a_measured_spec_needs_no_data_to_be_laid_out(tmp_path):
    spec = saved(tmp_path, changed(0, 1)).measure()
    moved = (tmp_path / "x.npy").rename(tmp_path / "y.npy")
    assert spec.layout().shape == (3,)
    with pytest.raises(DataNotFoundError, match="x.npy is no file"):
        dataclasses.replace(spec).load()
    np.save(moved, changed(0, 1)[:, :2])
    with pytest.raises(DataNotFoundError, match=r"shape \[2\]: the run was trained on \[3\]"):
        dataclasses.replace(spec, path=str(moved)).load()
    with pytest.raises(DataNotFoundError, match="`path` must be stated: the file with the numbers"):
        NumberFile().load()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"centers": (0.0,), "widths": (1.0, 2.0)}, "must have one length"),
        ({"centers": (0.0,), "widths": (0.0,)}, "`widths` must be positive"),
        ({"centers": (0.0,), "widths": (1.0,), "log": True, "integers": (True,)}, "`log` does not"),
    ],
)
def test_scalings_that_are_none(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        ChannelScaling(**fields)
