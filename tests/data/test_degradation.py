"""What is left of images, against what a person would compute."""

import jax
import numpy as np
import pytest

from sde_jax.data import Grey, Half, Smaller


def image(key, *shape):
    return np.asarray(jax.random.uniform(key, shape, minval=-1.0))


def test_grey_is_a_weighted_mean_that_keeps_white_and_black(key):
    x = image(key, 2, 4, 6, 3)
    expected = 0.299 * x[..., 0] + 0.587 * x[..., 1] + 0.114 * x[..., 2]
    np.testing.assert_allclose(Grey()(x)[..., 0], expected, atol=1e-6)
    for level in (-1.0, 1.0):
        np.testing.assert_allclose(
            Grey()(np.full((1, 2, 2, 3), level, np.float32)), level, atol=1e-6
        )
    with pytest.raises(ValueError, match=r"three channels: got shape \(4, 6, 1\)"):
        Grey()(x[..., :1])


def test_smaller_has_the_mean_of_each_square_in_it(key):
    x = image(key, 2, 4, 6, 3)
    y = np.asarray(Smaller(factor=2)(x))
    for row in range(4):
        for column in range(6):
            top, left = row // 2 * 2, column // 2 * 2
            expected = x[:, top : top + 2, left : left + 2].mean(axis=(1, 2))
            np.testing.assert_allclose(y[:, row, column], expected, atol=1e-6)
    np.testing.assert_allclose(Smaller(factor=2)(y), y, atol=1e-6)
    with pytest.raises(ValueError, match="`factor` must divide height and width of 4x6 images"):
        Smaller(factor=4)(x)
    with pytest.raises(ValueError, match="`factor` must be at least 2"):
        Smaller(factor=1)


@pytest.mark.parametrize(
    ("kept", "rows", "columns"),
    [
        ("upper", slice(2), slice(None)),
        ("lower", slice(3, None), slice(None)),
        ("left", slice(None), slice(3)),
        ("right", slice(None), slice(3, None)),
    ],
)
def test_half_of_an_image_stays(key, kept, rows, columns):
    x = image(key, 2, 5, 6, 1)
    expected = np.zeros_like(x)
    expected[:, rows, columns] = x[:, rows, columns]
    np.testing.assert_array_equal(Half(kept=kept)(x), expected)


def test_no_other_half():
    with pytest.raises(ValueError, match="`kept` must be upper, lower, left or right"):
        Half(kept="middle")
