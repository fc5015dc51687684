"""The metrics against torch-fidelity, pytorch-fid, prdc and TF-GAN on published sets of features.

Their README says which of their numbers are the truth, and what each implementation lacks of it.
"""

import json
import warnings

import numpy as np
import pytest

from sde_jax.metrics.classification import inception_score
from sde_jax.metrics.frechet import FittedGaussian, fit_gaussian, frechet_distance
from sde_jax.metrics.kernel import kernel_distance
from sde_jax.metrics.manifold import density_coverage, precision_recall
from sde_jax.metrics.moments import moments_of

RANKS = {"main": 64, "lowdim": 6, "shift1000": 64, "same": 64, "smalln": 49, "dead": 16}


@pytest.fixture
def published(parity):
    arrays = parity("metrics/metrics")
    return arrays, json.loads(str(arrays["meta"]))


def sets_of(arrays, name):
    if name == "same":
        return (arrays["main/real"],) * 2
    if name == "shift1000":
        return arrays["main/gen"] + 1000, arrays["main/real"] + 1000
    if name == "big":
        return big(41, 1000, 0.30, 0.9), big(42, 2100, 0.25, 1.0)
    return arrays[f"{name}/gen"], arrays[f"{name}/real"]


def big(seed, count, shift, gain):
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal((count, 2048))
    mixed = noise.copy()
    mixed[:, 1:] += 0.5 * noise[:, :-1]
    mixed[:, 2:] -= 0.25 * noise[:, :-2]
    return abs(gain * mixed + shift) / (1 + np.arange(2048) / 64)


def distance_of(*sets):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the covariances of")
        return frechet_distance(*(fit_gaussian(moments_of(x)) for x in sets))


@pytest.mark.parametrize("name", RANKS)
def test_frechet_distance(published, name):
    arrays, meta = published
    distance = distance_of(*sets_of(arrays, name))
    truth, tfgan = meta["fid"][name]["truth"]["fid"], meta["fid"][name]["tfgan"]["float64"]
    np.testing.assert_allclose(distance.value, [truth, tfgan], rtol=1e-9, atol=1e-9)
    assert max(distance.ranks) == RANKS[name]
    assert distance.rank_deficient == (name in ("smalln", "dead"))


@pytest.mark.parametrize("name", ["main", "lowdim"])
def test_frechet_distance_of_published_statistics(published, name):
    arrays, meta = published
    first, second = (
        FittedGaussian(arrays[f"{name}/{part}_mu"], arrays[f"{name}/{part}_sigma"])
        for part in ("gen", "real")
    )
    distance = frechet_distance(first, second)
    np.testing.assert_allclose(distance.value, meta["fid"][name]["truth"]["fid"], rtol=1e-9)
    assert distance.counts == (None, None)
    assert np.isnan(distance.bias)
    assert np.isnan(distance.stderr)


@pytest.mark.slow("test_kernel_distance")
def test_frechet_and_kernel_distance_of_2048_features(published):
    arrays, meta = published
    first, second = sets_of(arrays, "big")
    distance = distance_of(first, second)
    np.testing.assert_allclose(distance.value, meta["fid"]["big"]["truth"]["fid"], rtol=1e-9)
    assert distance.ranks == (999, 2048)
    hold_blocks(meta["kid"]["big"]["tfgan"], first, second)


@pytest.mark.parametrize(
    "name", [pytest.param("main", marks=pytest.mark.slow), "smalln", "lowdim", "same"]
)
def test_kernel_distance(published, name):
    arrays, meta = published
    first, second = sets_of(arrays, name)
    subsets = [arrays[f"kid/{name}_idx_{part}"] for part in ("gen", "real")]
    values = [kernel_distance(first[i], second[j]).value for i, j in zip(*subsets, strict=True)]
    np.testing.assert_allclose(values, arrays[f"kid/{name}_f64_values"], rtol=1e-9, atol=1e-9)
    whole = kernel_distance(first, second, block_size=None)
    expected = meta["kid"][name]["whole_sets_unbiased"]
    np.testing.assert_allclose(whole.value, expected, rtol=1e-9, atol=1e-9)
    assert whole.counts == (len(first), len(second))
    hold_blocks(meta["kid"][name]["tfgan"], first, second)


def hold_blocks(tfgan, first, second):
    """To values and standard errors of TF-GAN; it has no error for one block."""
    for size in (128, 1024):
        value, stderr = tfgan.get(f"float64_block{size}", (None, None))
        if value is not None:
            estimate = kernel_distance(first, second, block_size=size)
            np.testing.assert_allclose(estimate.value, value, rtol=1e-9, atol=1e-9)
            if stderr is not None:
                np.testing.assert_allclose(estimate.stderr, stderr, rtol=1e-9)


@pytest.mark.parametrize("name", ["main", "extreme", "big"])
def test_inception_score(published, name):
    arrays, meta = published
    if name == "big":
        noise = np.random.Generator(np.random.PCG64(53)).standard_normal((1000, 1008))
        logits = (3.0 * noise).astype(np.float32)
    else:
        logits = arrays[f"is/{name}_logits"]
    expected, order = meta["is"][name], arrays[f"is/{name}_perm2020"]
    score = inception_score(logits)
    np.testing.assert_allclose(score.split_scores, arrays[f"is/{name}_split_scores"], rtol=1e-9)
    for shuffled, rows in ((0, logits), (1, logits[order])):
        for splits in (1, 10):
            score, values = (
                inception_score(rows, splits=splits),
                expected[f"splits{splits}_shuffle{shuffled}"],
            )
            np.testing.assert_allclose(score.value, values["mean"], rtol=1e-9)
            np.testing.assert_allclose(np.std(score.split_scores), values["std"], atol=1e-9)
    whole = inception_score(logits, splits=1)
    np.testing.assert_allclose(whole.value, expected["tfgan_no_splits"]["float64"], rtol=1e-9)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("name", ["main", "lowdim", "ties", "smalln"])
def test_precision_recall_density_coverage(published, name, k):
    arrays, meta = published
    first, second = sets_of(arrays, name)
    expected = meta["prdc"][name][f"k{k}"]
    near, dense = precision_recall(first, second, k=k), density_coverage(first, second, k=k)
    measured = {
        "precision_le": near.precision.value,
        "recall_le": near.recall.value,
        "density": dense.density.value,
        "coverage": dense.coverage.value,
    }
    for key, value in measured.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-12, err_msg=key)
