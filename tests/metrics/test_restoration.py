"""Measures of restored images: against scipy's filters, and where they are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate

from sde_jax.metrics.restoration import psnr, ssim


def pictures(seed, shape):
    """Smooth images of range [0, 1], and noisy ones near them."""
    rng = np.random.default_rng(seed)
    waves = np.cumsum(rng.normal(size=shape), axis=1)
    truth = 0.5 + 0.5 * np.sin(waves)
    return np.clip(truth + 0.1 * rng.normal(size=shape), 0, 1), truth


def similarity(x, y, side):
    """Of two grey images, by scipy's filter with a window in two dimensions, cut to where it fits.

    The moments are central: each place's own mean is taken out before the squares.
    """
    offsets = np.arange(side) - (side - 1) / 2
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(x.shape[0] - side + 1):
        for left in range(x.shape[1] - side + 1):
            a, b = (v[top : top + side, left : left + side] for v in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 1e-4)
                * (2 * covariance + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
            )
    middle = correlate(x, window)[side // 2 : x.shape[0] - side // 2, side // 2]
    np.testing.assert_allclose(middle[0], (window * x[:side, :side]).sum())
    return np.mean(values)


@pytest.mark.parametrize(
    ("shape", "side"),
    [
        ((3, 16, 13, 3), 11),
        ((2, 8, 8, 1), 7),
        ((2, 8, 20, 1), 7),
        ((2, 20, 8, 1), 7),
        ((2, 9, 20, 1), 9),
        ((2, 11, 11, 2), 11),
    ],
)
def test_similarity_is_that_of_the_paper(shape, side):
    x, y = pictures(sum(shape), shape)
    expected = [
        np.mean([similarity(a[..., c], b[..., c], side) for c in range(shape[-1])])
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(ssim(x, y), expected, rtol=1e-10)
    assert 0.2 < min(expected) < max(expected) < 0.99


def test_an_image_is_most_similar_to_itself():
    x, y = pictures(1, (3, 12, 12, 3))
    np.testing.assert_array_equal(ssim(x, x), np.ones(3))
    assert (psnr(x, x) == np.inf).all()
    np.testing.assert_allclose(ssim(x, y), ssim(y, x), rtol=1e-12)
    assert (ssim(x, y) < 1).all()
    assert (ssim(x, 1 - x) < 0).all()


@pytest.mark.parametrize(("a", "b"), [(0.2, 0.6), (0.0, 1.0), (0.5, 0.5)])
def test_between_constant_images_the_luminance_alone_counts(a, b):
    x, y = np.full((1, 14, 12, 1), a), np.full((1, 14, 12, 1), b)
    np.testing.assert_allclose(ssim(x, y), (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4), rtol=1e-9)


def test_a_constant_error_has_its_own_decibels():
    """Of .1: 20 decibels; a tenth of that: 20 more; each image its own."""
    truth = np.full((3, 4, 5, 3), 0.3)
    off = truth + np.array([0.1, 0.01, -0.1])[:, None, None, None]
    np.testing.assert_allclose(psnr(off, truth), [20, 40, 20], rtol=1e-12)


def test_noise_has_the_decibels_of_its_variance():
    """The mean square of n = 30000 has the standard error ``sigma^2 sqrt(2 / n)``."""
    noise = 0.05 * np.random.default_rng(2).normal(size=(1, 100, 100, 3))
    (found,) = psnr(0.5 + noise, np.full(noise.shape, 0.5))
    z = (10 ** (-found / 10) / 0.05**2 - 1) / np.sqrt(2 / noise.size)
    assert abs(z) < 5, z


def test_any_kind_of_array_is_taken():
    x, y = pictures(3, (2, 12, 12, 1))
    single = jnp.asarray(x, jnp.float32), jax.device_put(np.float32(y))
    for measure in (psnr, ssim):
        found = measure(*single)
        assert isinstance(found, np.ndarray) and found.dtype == np.float64
        np.testing.assert_allclose(found, measure(x, y), rtol=1e-5)


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize(
    ("first", "second"), [((1, 2, 2, 1), (1, 2, 2, 3)), ((4, 4), (4, 4)), ((0, 2, 2, 1),) * 2]
)
def test_what_is_no_pair_of_images_is_refused(measure, first, second):
    with pytest.raises(ValueError, match=r"must be \[count, height, width, channels\], of one sh"):
        measure(np.zeros(first), np.zeros(second))
