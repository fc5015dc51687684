import numpy as np
import pytest

from sde_jax.data.preprocessing import pad_to_square


def test_images_are_centred_on_zeros():
    images = np.arange(1, 13, dtype=np.uint8).reshape(1, 3, 2, 2)
    padded = pad_to_square(images, 4)
    assert padded.shape == (1, 4, 4, 2) and padded.dtype == np.uint8
    np.testing.assert_array_equal(padded[:, :3, 1:3], images)
    assert padded.sum() == images.sum()


def test_the_same_size_changes_nothing():
    images = np.ones((2, 5, 5, 1), np.uint8)
    np.testing.assert_array_equal(pad_to_square(images, 5), images)


def test_larger_images_are_refused():
    with pytest.raises(ValueError, match="`size` must hold images of 5x3: got 4"):
        pad_to_square(np.ones((1, 5, 3, 1), np.uint8), 4)
