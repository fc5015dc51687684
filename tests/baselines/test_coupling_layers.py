"""The pieces of a coupling flow against numpy, numeric derivatives and the definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logit

from sde_jax.baselines.coupling_layers import (
    AffineCoupling,
    Subnetwork,
    channel_mask,
    checkerboard_mask,
    from_logits,
    squeeze,
    to_logits,
    unsqueeze,
)
from sde_jax.initialization import initialize

MASKS = {
    "points": (checkerboard_mask, (5,)),
    "pixels": (checkerboard_mask, (2, 4, 3)),
    "channels": (channel_mask, (2, 2, 4)),
}
each_mask = pytest.mark.parametrize("mask, shape", MASKS.values(), ids=MASKS.keys())


def test_checkerboards_are_parities_of_sums_of_indices():
    for parity in (0, 1):
        for shape in ((4, 6, 3), (3, 5, 1), (1, 1, 2), (2,), (5,)):
            for index in np.ndindex(shape):
                places = index[:2] if len(shape) == 3 else index
                kept = checkerboard_mask(shape, parity)[index]
                assert kept == float(sum(places) % 2 == parity), (shape, index)


def test_channel_masks_are_halves():
    first, second = (channel_mask((3, 2, 6), parity) for parity in (0, 1))
    assert first[..., :3].all()
    assert not first[..., 3:].any()
    np.testing.assert_array_equal(first + second, np.ones((3, 2, 6)))


def test_squeeze_puts_the_pixels_of_a_square_into_channels(key):
    x = np.asarray(jax.random.normal(key, (2, 4, 6, 3)))
    squeezed = squeeze(jnp.asarray(x))
    pixels = [x[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    np.testing.assert_array_equal(squeezed, np.concatenate(pixels, axis=-1))
    np.testing.assert_array_equal(unsqueeze(squeezed), x)


def test_halves_of_squeezed_channels_are_not_what_checkerboards_told_apart():
    board = jnp.asarray(checkerboard_mask((4, 4, 1), 0))[None]
    kept = squeeze(board)[0] * channel_mask((2, 2, 4), 0)
    assert kept.sum() == 4


@pytest.mark.parametrize("margin", [0.05, 0.2])
def test_logits_and_their_derivative(margin):
    x = np.linspace(-1, 1, 12).reshape(2, 3, 2, 1)
    transform = jax.jit(to_logits, static_argnums=1)
    logits, log_det = transform(jnp.asarray(x, jnp.float32), margin)

    def expected(x):
        return logit(margin + (1 - 2 * margin) * (x + 1) / 2)

    np.testing.assert_allclose(logits, expected(x), rtol=1e-5, atol=1e-6)
    slopes = (expected(x + 1e-6) - expected(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(log_det, np.log(slopes).sum(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(from_logits(logits, margin), x, atol=1e-6)


def test_logits_beyond_the_margin_leave_the_range_of_images_by_so_much():
    ends = from_logits(jnp.asarray([[-jnp.inf, jnp.inf]]), 0.05)
    np.testing.assert_allclose(ends, [[-1 - 0.1 / 0.9, 1 + 0.1 / 0.9]], rtol=1e-6)
    beyond, log_det = to_logits(jnp.asarray([[1.2]]), 0.05)
    assert np.isnan(beyond).all()
    assert np.isnan(log_det).all()


def coupling_and_params(key, mask, shape, parity, size):
    """A coupling with parameters of which none is zero, moved by noise of that size."""
    coupling = AffineCoupling(mask, parity, functools.partial(Subnetwork, width=4, depth=1))
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    params = jax.jit(lambda key: initialize(coupling, key, x, method="forward"))(key)
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    return coupling, jax.tree.map(
        lambda leaf: leaf + random.normal(0, size, leaf.shape).astype("f"), params
    )


@each_mask
def test_a_coupling_keeps_one_half_exactly_and_sees_nothing_else(key, mask, shape):
    key_params, key_x, key_other = jax.random.split(key, 3)
    parity = 1
    coupling, params = coupling_and_params(key_params, mask, shape, parity, 0.3)
    kept = mask(shape, parity)[None] == 1
    x, other = (jax.random.normal(k, (3, *shape)) for k in (key_x, key_other))
    changed = np.where(kept, x, other)
    forward = jax.jit(lambda x: coupling.apply({"params": params}, x, method="forward"))
    (y, log_det), (y_changed, log_det_changed) = forward(x), forward(changed)
    everywhere = np.broadcast_to(kept, x.shape)
    np.testing.assert_array_equal(np.asarray(y)[everywhere], np.asarray(x)[everywhere])
    assert np.abs(y - x)[~everywhere].min() > 1e-4
    np.testing.assert_array_equal(log_det, log_det_changed)
    # Two examples of equal kept halves differ by exp(s) times as much; the sum of s is log_det.
    factors = np.asarray((y - y_changed) / (x - changed))
    scales = np.where(everywhere, 1.0, factors)
    np.testing.assert_allclose(np.log(scales).reshape(3, -1).sum(axis=1), log_det, atol=2e-3)


@each_mask
def test_log_scales_are_bounded_whatever_the_subnetwork_says(key, mask, shape):
    coupling, params = coupling_and_params(key, mask, shape, 0, 30.0)
    params["factor"] = jnp.full(shape[-1:], -0.5)
    x = 100 * jax.random.normal(key, (64, *shape))
    forward = jax.jit(lambda x: coupling.apply({"params": params}, x, method="forward"))
    log_det = forward(x)[1]
    largest = 0.5 * (1 - mask(shape, 0)).sum()
    assert np.abs(log_det).max() <= largest * (1 + 1e-6)
    assert np.abs(log_det).max() > 0.3 * largest
