import numpy as np

from sde_jax.data import Digits


def test_counts_levels_and_labels():
    source = Digits().load()
    assert source.shape == (8, 8, 1)
    assert source.sizes == {"train": 1500, "test": 297}
    assert source.scaling.levels == 17
    every = np.concatenate([source.images["train"], source.images["test"]])
    np.testing.assert_array_equal(np.unique(every), np.arange(17))
    # The documented counts of the 1797 images, and the first and last of them.
    labels = np.concatenate([source.labels["train"], source.labels["test"]])
    np.testing.assert_array_equal(
        np.bincount(labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    )
    np.testing.assert_array_equal(labels[:10], np.arange(10))
    np.testing.assert_array_equal(labels[-3:], [8, 9, 8])


def test_train_and_test_share_no_image():
    images = Digits().load().images
    train = {image.tobytes() for image in images["train"]}
    assert not any(image.tobytes() in train for image in images["test"])


def test_colours_keep_the_brightest_channel():
    """Which is the digit in grey; the colours are spread over all hues."""
    plain, coloured = (Digits(coloured=c).load() for c in (False, True))
    assert coloured.shape == (8, 8, 3)
    images = coloured.images["train"]
    np.testing.assert_array_equal(images.max(axis=3, keepdims=True), plain.images["train"])
    brightest = np.bincount(images.sum(axis=(1, 2)).argmax(axis=1), minlength=3)
    assert np.all(np.abs(brightest / len(images) - 1 / 3) < 0.02), brightest
