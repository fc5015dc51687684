"""DCGAN's networks against a numpy re-derivation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from sde_jax.baselines.dcgan import DCGANSpec
from sde_jax.baselines.gan import GAN

SPEC = DCGANSpec(channels=8, multipliers=(1, 2))
SHAPE = (8, 8, 3)


def model(spec=SPEC, latent_dimension=5):
    return GAN(
        generator=spec.build_generator(),
        discriminator=spec.build_discriminator(),
        latent_dimension=latent_dimension,
    )


def lopsided_params(seed):
    """Uneven ones, so large that no layer can be left out unnoticed."""
    shapes = jax.eval_shape(lambda: model().init(jax.random.key(0), SHAPE))
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: np.float32(draw.normal(0.1, 0.2, leaf.shape)), shapes)


def generate(model):
    return jax.jit(lambda params, latent: model.generate(params, latent, SHAPE))


def in_float64(params):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)


def normalized(h, params):
    """Groups of four channels of one image."""
    groups = h.reshape(*h.shape[:2], -1, 4)
    mean = groups.mean(axis=(0, 1, 3), keepdims=True)
    variance = ((groups - mean) ** 2).mean(axis=(0, 1, 3), keepdims=True)
    return ((groups - mean) / np.sqrt(variance + 1e-6)).reshape(h.shape) * params["scale"] + params[
        "bias"
    ]


def convolved(h, params):
    """Correlation of ``[height, width, channels]`` with a kernel, wherever it fits."""
    kernel = params["kernel"]
    out = [
        sum(correlate(h[..., i], kernel[:, :, i, o], mode="valid") for i in range(h.shape[-1]))
        for o in range(kernel.shape[-1])
    ]
    return np.stack(out, axis=-1) + params["bias"]


def halved(h, params):
    return convolved(np.pad(h, ((1, 1), (1, 1), (0, 0))), params)[::2, ::2]


def doubled(h, params):
    spread = np.zeros((2 * h.shape[0] - 1, 2 * h.shape[1] - 1, h.shape[2]))
    spread[::2, ::2] = h
    return convolved(np.pad(spread, ((2, 2), (2, 2), (0, 0))), params)


def leaky(h):
    return np.where(h > 0, h, 0.2 * h)


def test_the_discriminator(key):
    params = lopsided_params(1)["discriminator"]
    x = 0.7 + 0.4 * jax.random.normal(key, (3, *SHAPE))
    p = in_float64(params)
    expected = []
    for image in np.asarray(x, np.float64):
        h = leaky(halved(image, p["Conv_0"]))
        h = leaky(normalized(halved(h, p["Conv_1"]), p["GroupNorm_0"]))
        assert h.shape == (2, 2, 16)
        expected.append((h.reshape(-1) @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])[0])
    np.testing.assert_allclose(jax.jit(model().score)(params, x), expected, rtol=1e-4, atol=1e-4)


def test_the_generator(key):
    params = lopsided_params(2)["generator"]
    latent = jax.random.normal(key, (3, 5))
    p = in_float64(params)
    expected = []
    for z in np.asarray(latent, np.float64):
        h = (z @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]).reshape(2, 2, 16)
        for level in range(2):
            h = np.maximum(normalized(h, p[f"GroupNorm_{level}"]), 0)
            h = doubled(h, p[f"ConvTranspose_{level}"])
        expected.append(np.tanh(h))
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(generate(model())(params, latent), expected, atol=2e-5)


def test_the_published_network_of_64x64_images():
    """1024 channels at 4x4, half as many at each doubling; 100 latents (figure 1)."""
    spec = DCGANSpec(channels=128, multipliers=(1, 2, 4, 8))
    published = model(spec, latent_dimension=100)
    params = jax.eval_shape(lambda: published.init(jax.random.key(0), (64, 64, 3)))
    kernels = [
        params["generator"][name]["kernel"].shape
        for name in ("Dense_0", *(f"ConvTranspose_{level}" for level in range(4)))
    ]
    assert kernels[0] == (100, 4 * 4 * 1024)
    widths = [1024, 512, 256, 128, 3]
    assert kernels[1:] == [(4, 4, *pair) for pair in zip(widths[:-1], widths[1:], strict=True)]
    assert params["discriminator"]["Dense_0"]["kernel"].shape == (4 * 4 * 1024, 1)


@pytest.mark.parametrize(("shape", "levels"), [((8, 8, 1), 2), ((32, 32, 3), 3), ((28, 28, 1), 2)])
def test_any_size_that_can_be_halved(shape, levels, key):
    spec = DCGANSpec(channels=4, multipliers=(1,) * levels)
    params = jax.eval_shape(lambda: model(spec).init(key, shape))

    def both(params, latent):
        x = model(spec).generate(params["generator"], latent, shape)
        return x, model(spec).score(params["discriminator"], x)

    x, scores = jax.eval_shape(both, params, jax.ShapeDtypeStruct((2, 5), jnp.float32))
    assert (x.shape, scores.shape) == ((2, *shape), (2,))


def test_weights_start_with_the_published_deviation(key):
    network = model(DCGANSpec(channels=64, multipliers=(1,)))
    params = jax.jit(network.init, static_argnums=1)(key, SHAPE)
    for network in params.values():
        kernels = [layer["kernel"] for layer in network.values() if "kernel" in layer]
        weights = np.concatenate([kernel.reshape(-1) for kernel in kernels])
        z = (np.std(weights) / 0.02 - 1) * np.sqrt(2 * weights.size)
        assert abs(z) < 5, f"z = {z:.1f}"


def test_inside_it_may_compute_in_half_the_precision(key):
    params = lopsided_params(3)
    latent = jax.random.normal(key, (2, 5))
    half = GAN(
        generator=SPEC.build_generator().clone(dtype=jnp.bfloat16),
        discriminator=SPEC.build_discriminator().clone(dtype=jnp.bfloat16),
        latent_dimension=5,
    )

    @jax.jit
    def both(params, latent):
        x = half.generate(params["generator"], latent, SHAPE)
        whole = model().generate(params["generator"], latent, SHAPE)
        return x, whole

    x, whole = both(params, latent)
    scores = jax.eval_shape(half.score, params["discriminator"], x)
    assert x.dtype == scores.dtype == jnp.float32
    difference = np.abs(x - whole).max()
    assert 1e-4 < difference < 0.1


@pytest.mark.parametrize("shape", [(12, 10, 1), (6, 8, 1)])
def test_images_that_cannot_be_halved(shape, key):
    with pytest.raises(
        ValueError, match="`multipliers` requires a height and width divisible by 4"
    ):
        model().init(key, shape)


def test_points(key):
    with pytest.raises(
        ValueError, match=r"examples must be images .*: got examples of shape \(2,\)"
    ):
        model().init(key, (2,))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 6}, "`channels` must be a multiple of 4"),
        ({"multipliers": ()}, "`multipliers` must be a positive integer per level"),
        ({"multipliers": (1, 0)}, "`multipliers` must be a positive integer per level"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        DCGANSpec(**settings)
