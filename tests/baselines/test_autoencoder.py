"""The networks of images against their definition, written out of their layers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from sde_jax.arrays import strided_parts
from sde_jax.baselines.autoencoder import AutoencoderSpec, Posterior
from sde_jax.baselines.output import BernoulliOutput, GaussianOutput
from sde_jax.baselines.vae import VAE
from sde_jax.data import ImageScaling
from sde_jax.nets.blocks import GroupNorm, ResidualBlock
from sde_jax.nets.resampling import downsample, upsample
from sde_jax.randomness import example_seeds

SPEC = AutoencoderSpec(latent=3, channels=4, multipliers=(2, 1))
each_kind = pytest.mark.parametrize("vector", [False, True])


def test_the_divergence_is_the_integral_of_its_definition():
    mean, log_scale = np.array([[0.7, -1.5], [0.0, 0.2]]), np.array([[-1.2, 0.4], [0.0, -0.01]])
    z = np.linspace(-15, 15, 20_001)
    posterior = scipy.stats.norm(mean[..., None], np.exp(log_scale)[..., None])
    excess = posterior.logpdf(z) - scipy.stats.norm.logpdf(z)
    expected = np.trapezoid(posterior.pdf(z) * excess, z, axis=-1).sum(axis=1)
    actual = Posterior(jnp.asarray(mean), jnp.asarray(log_scale)).divergence()
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_the_log_density_is_that_of_the_latents(key):
    mean, log_scale, noise = jax.random.normal(key, (3, 4, 2, 1))
    posterior = Posterior(mean, log_scale)
    expected = scipy.stats.norm.logpdf(posterior.at(noise), mean, np.exp(log_scale))
    np.testing.assert_allclose(
        posterior.log_density(noise), expected.sum(axis=(1, 2)), rtol=1e-5, atol=1e-5
    )


def some_params(network, x):
    """Parameters that are as good as any, of which none is zero or one."""
    shapes = jax.eval_shape(network.init, jax.random.key(0), x)["params"]
    random = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: random.normal(0.1, 0.3, leaf.shape).astype("f"), shapes)


def convolved(params, x):
    dimensions = ("NHWC", "HWIO", "NHWC")
    h = jax.lax.conv_general_dilated(
        x, params["kernel"], (1, 1), "SAME", dimension_numbers=dimensions
    )
    return h + params["bias"][None, None, None]


def block(params, x, features, resample):
    return ResidualBlock(features, resample=resample).apply({"params": params}, x, None)


def activated(params, h):
    return jax.nn.silu(GroupNorm().apply({"params": params}, h))


@each_kind
def test_the_encoder_is_what_it_says(vector, key):
    encoder = dataclasses.replace(SPEC, vector=vector).encoder()
    x = jax.random.normal(key, (2, 8, 4, 2))
    params = some_params(encoder, x)

    def expected(params):
        h = convolved(params["Conv_0"], x)
        for level, width in enumerate((8, 4)):
            h = block(params[f"ResidualBlock_{level}"], h, width, downsample)
        return activated(params["GroupNorm_0"], h)

    posterior, h = jax.jit(lambda params: (encoder.apply({"params": params}, x), expected(params)))(
        params
    )
    h = np.asarray(h).reshape((2, 1, 1, 8) if vector else h.shape)
    h = h @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    assert posterior.mean.shape == ((2, 1, 1, 3) if vector else (2, 2, 1, 3))
    np.testing.assert_allclose(posterior.mean, h[..., :3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(posterior.log_scale, h[..., 3:], rtol=1e-4, atol=1e-5)


@each_kind
def test_the_decoder_is_what_it_says(vector, key):
    decoder = dataclasses.replace(SPEC, vector=vector).decoder((8, 4, 2))
    z = jax.random.normal(key, (2, 1, 1, 3) if vector else (2, 2, 1, 3))
    params = some_params(decoder, z)
    h = np.asarray(z) @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]

    @jax.jit
    def both(params, h):
        for level, width in enumerate((4, 8)):
            h = block(params[f"ResidualBlock_{level}"], h, width, upsample)
        expected = convolved(params["Conv_0"], activated(params["GroupNorm_0"], h))
        return decoder.apply({"params": params}, z), expected

    output, expected = both(params, h.reshape(2, 2, 1, 4))
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "spec", "output", "latent_shape"),
    [
        (
            (8, 8, 1),
            AutoencoderSpec(latent=3, channels=4, multipliers=(1,)),
            GaussianOutput(),
            (4, 4, 3),
        ),
        (
            (8, 8, 3),
            AutoencoderSpec(latent=5, channels=4, multipliers=(1,), vector=True),
            BernoulliOutput(scaling=ImageScaling()),
            (1, 1, 5),
        ),
    ],
)
def test_images_of_a_part_have_the_losses_of_the_whole(shape, spec, output, latent_shape, key):
    model = VAE(encoder=spec.encoder(), decoder=spec.decoder(shape), output=output)
    random, shapes = np.random.default_rng(0), jax.eval_shape(lambda: model.init(key, shape))
    params = jax.tree.map(lambda leaf: random.normal(0.1, 0.2, leaf.shape).astype("f"), shapes)
    x = random.uniform(-1.0, 1.0, (4, *shape)).astype("f")
    latents = jax.eval_shape(model.encode, params, jax.random.split(key, 4), x)
    assert latents.shape == (4, *latent_shape)
    keys = jax.random.split(key)
    sampled = jax.eval_shape(lambda params: model.sample(params, keys, shape), params)
    assert sampled.x.shape == (2, *shape)

    @jax.jit
    def losses(params):
        given = example_seeds(key, 4), x
        return model.losses(params, *given), model.losses(params, *strided_parts(given, 2)[1])

    whole, part = losses(params)
    assert np.unique(np.round(whole, 2)).size == 4
    np.testing.assert_allclose(part, whole[1::2], rtol=1e-5)


def test_bfloat16_comes_out_as_float32(key):
    encoder = dataclasses.replace(SPEC.encoder(), dtype=jnp.bfloat16)
    decoder = dataclasses.replace(SPEC.decoder((8, 8, 1)), dtype=jnp.bfloat16)
    encoded = jax.eval_shape(encoder.init_with_output, key, jnp.zeros((1, 8, 8, 1)))
    decoded = jax.eval_shape(decoder.init_with_output, key, encoded[0].mean)
    leaves = jax.tree.leaves((encoded, decoded))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((2,), r"examples must be images .*: got examples of shape \(2,\)"),
        ((8, 6, 1), "`multipliers` requires a height and width divisible by 4.*8x6"),
        ((6, 8, 1), "6x8"),
    ],
)
def test_images_that_cannot_be_halved(key, shape, complaint):
    with pytest.raises(ValueError, match=complaint):
        SPEC.decoder(shape)
    with pytest.raises(ValueError, match=complaint):
        jax.eval_shape(SPEC.encoder().init, key, jnp.zeros((1, *shape)))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"latent": 0}, "`latent` must be at least 1: got latent=0"),
        ({"channels": 6}, "`channels` must be a multiple of 4.*got .*6"),
        ({"channels": 0}, "`channels` must be a multiple of 4.*got .*0"),
        ({"multipliers": ()}, r"`multipliers` must be a positive integer per level.*got .*\(\)"),
        ({"multipliers": (1, 0)}, "`multipliers`"),
    ],
)
def test_fields_of_an_autoencoder_out_of_range(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        AutoencoderSpec(**fields)
