import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.nets.embedding import GaussianFourierFeatures, LabelEmbedding, positional_embedding


@pytest.mark.parametrize("width", [4, 7, 32])
def test_positional_embedding_is_sines_then_cosines(width):
    # The same numbers in float32, which rounds angles of 999 by 3e-5.
    times = [0.0, 0.375, 17.0, 999.0]
    half = width // 2
    angles = [[t * math.exp(-k * math.log(1e4) / (half - 1)) for k in range(half)] for t in times]
    expected = np.zeros((len(times), width))
    expected[:, :half], expected[:, half : 2 * half] = np.sin(angles), np.cos(angles)
    embedding = jax.jit(positional_embedding, static_argnums=1)(jnp.array(times), width)
    np.testing.assert_allclose(embedding, expected, atol=1e-6)


def test_positional_embedding_takes_whole_numbers():
    times = jnp.array([3, 40])
    expected = positional_embedding(times.astype(jnp.float32), 8)
    np.testing.assert_array_equal(positional_embedding(times, 8), expected)


def test_positional_embedding_refuses_a_narrow_width():
    with pytest.raises(ValueError, match="`width` of a positional embedding must be at least 4"):
        positional_embedding(jnp.zeros(1), 3)


def test_fourier_features_are_of_fixed_gaussian_frequencies(key):
    time = jnp.array([-1.5, 0.2, 2.0])
    module = GaussianFourierFeatures(5000, scale=16.0)
    variables = module.init(key, time)
    frequency = np.asarray(variables["params"]["W"], np.float64)
    # Standard errors: 16 / sqrt(5000) of the mean, 16 / sqrt(2 * 5000) of the deviation.
    assert abs(frequency.mean()) < 5 * 16 / math.sqrt(5000)
    assert abs(frequency.std() - 16) < 5 * 16 / math.sqrt(10_000)
    # Float32 would round these angles, of up to 800, by 3e-5.
    angles = 2 * np.pi * np.outer(np.float64(time), frequency)
    for apply in (module.apply, jax.jit(module.apply)):
        features = apply(variables, time)
        np.testing.assert_allclose(features[:, :5000], np.sin(angles), atol=1e-6)
        np.testing.assert_allclose(features[:, 5000:], np.cos(angles), atol=1e-6)
    gradient = jax.grad(lambda v: module.apply(v, time).sum())(variables)
    assert not np.any(gradient["params"]["W"])


def test_embeddings_can_be_differentiated_by_time(key):
    time = jnp.array([-1.5, 0.2, 2.0])
    module = GaussianFourierFeatures(4)
    variables = module.init(key, time)
    frequency = 2 * np.pi * np.asarray(variables["params"]["W"], np.float64)
    angles = np.outer(np.float64(time), frequency)
    _, rates = jax.jvp(lambda time: module.apply(variables, time), (time,), (jnp.ones(3),))
    np.testing.assert_allclose(rates[:, :4], frequency * np.cos(angles), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(rates[:, 4:], -frequency * np.sin(angles), rtol=1e-3, atol=1e-3)


def test_label_embedding_adds_the_row_of_each_label(key):
    embedding = jnp.full((4, 6), 0.5)
    module = LabelEmbedding(3)
    variables = module.init(key, embedding, None)
    table = np.asarray(variables["params"]["table"])
    labelled = np.asarray(module.apply(variables, embedding, jnp.array([2, 0, -1, 3])))
    np.testing.assert_allclose(labelled[:2] - 0.5, table[[2, 0]], rtol=1e-6)
    np.testing.assert_array_equal(labelled[2], 0.5)
    assert np.isnan(labelled[3]).all()
    np.testing.assert_array_equal(module.apply(variables, embedding, None), embedding)


def test_label_embedding_without_classes_refuses_a_label():
    module = LabelEmbedding(None)
    embedding = jnp.ones((2, 6))
    np.testing.assert_array_equal(module.apply({}, embedding, None), embedding)
    with pytest.raises(ValueError, match="set `classes`"):
        module.apply({}, embedding, jnp.array([0, 1]))
