"""Inception and its preprocessings against the float64 truth of the published networks."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inception_weights import tensors_of
from PIL import Image

from sde_jax.interop.inception import inception_params
from sde_jax.metrics.inception import Inception, InceptionFeatures
from sde_jax.metrics.inception_images import prepare, resize
from sde_jax.training.devices import data_mesh, on_each_device

CONVENTIONS = {"tensorflow": "a", "pytorch_fid": "b", "score_sde": "c", "clean_fid": "d"}


@pytest.fixture
def published(parity):
    arrays = parity("metrics/inception_io")
    names = json.loads(str(arrays["meta"]))["images"]
    return arrays, {name: arrays[f"img/{name}"][None] for name in names}


@pytest.fixture(scope="module")
def params():
    folder = pathlib.Path(__file__).parents[3] / "shared"
    if not (folder / "parity" / "metrics").is_dir():
        pytest.skip("the reference data folder is not beside this checkout")
    problems = []
    params = inception_params(tensors_of(folder), problems)
    assert not problems
    return params


@pytest.fixture(scope="module")
def network():
    return jax.jit(lambda params, x: Inception().apply({"params": params}, x))


def hold(arrays, convention, place, features):
    """To 2e-5 of the float64 truth; returns the names that it has."""
    names = [name for name in features if f"{convention}/{name}_f64" in arrays]
    for name in names:
        truth, found = arrays[f"{convention}/{name}_f64"][place], np.asarray(features[name][0])
        assert found.dtype == np.float32
        assert found.shape == truth.shape
        assert abs(found - truth).max() < 2e-5 * abs(truth).max(), name
    return names


@pytest.mark.slow("test_features_of_a_published_image")
@pytest.mark.parametrize("preprocessing", CONVENTIONS)
def test_features_of_every_published_image(published, params, network, preprocessing):
    arrays, images = published
    for place, image in enumerate(images.values()):
        features = network(params, prepare(image, preprocessing))
        names = hold(arrays, CONVENTIONS[preprocessing], place, features)
        assert "2048" in names


@pytest.mark.parametrize("preprocessing", CONVENTIONS)
def test_features_of_a_published_image(published, params, network, preprocessing):
    arrays, images = published
    features = network(params, prepare(images["shapes64"], preprocessing))
    place = list(images).index("shapes64")
    names = hold(arrays, CONVENTIONS[preprocessing], place, features)
    expected = {
        "tensorflow": {"64", "192", "768", "2048", "logits_unbiased", "logits"},
        "pytorch_fid": {"64", "192", "768", "2048"},
        "score_sde": {"2048", "logits_unbiased", "logits"},
        "clean_fid": {"2048", "logits_unbiased"},
    }
    assert {*names} == expected[preprocessing]


@pytest.mark.parametrize("preprocessing", ["tensorflow", "pytorch_fid", "clean_fid"])
def test_resized_images(published, preprocessing):
    arrays, images = published
    convention = CONVENTIONS[preprocessing]
    scale = 255 if preprocessing == "pytorch_fid" else 1
    y, x = arrays["probe_yx"].T
    for place, image in enumerate(images.values()):
        found = np.asarray(resize(image, preprocessing))[0, y, x]
        truth = arrays[f"{convention}/resized_probe_f64"][place] * scale
        np.testing.assert_allclose(found, truth, rtol=0, atol=2e-4)


@pytest.mark.parametrize("size", [(32, 48), (299, 352), (7, 640)])
def test_clean_fid_resizes_as_pillow(size):
    image = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    resized = Image.fromarray(image.astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC)
    found = resize(image[None, :, :, None], "clean_fid")[0, :, :, 0]
    np.testing.assert_allclose(found, np.clip(np.asarray(resized), 0, 255), rtol=0, atol=2e-4)


@pytest.mark.parametrize("size", [28, 64, 299])
def test_pytorch_fid_resizes_as_jax(size):
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 1), dtype=np.uint8)
    expected = jax.image.resize(jnp.asarray(image, jnp.float32), (1, 299, 299, 1), "bilinear")
    np.testing.assert_allclose(resize(image, "pytorch_fid"), expected, rtol=0, atol=2e-3)


def test_known_images():
    # A ramp of 2 pixels, from the corner: 1/2 at the middle of the first, and no more after it.
    ramp = np.asarray([0, 100], np.uint8).reshape(1, 1, 2, 1)
    row = np.asarray(resize(ramp, "tensorflow"))[0, 0, :, 0]
    np.testing.assert_allclose(row[:150], np.arange(150) * 2 / 299 * 100, rtol=1e-6)
    np.testing.assert_allclose(row[150:], 100)
    levels = np.broadcast_to(np.asarray([[[0]], [[255]]], np.uint8)[..., None], (2, 4, 4, 1))
    ends = {
        "tensorflow": (-1, 127 / 128),
        "score_sde": (-1, 1),
        "pytorch_fid": (-1, 1),
        "clean_fid": (-1, 127 / 128),
    }
    for preprocessing, (low, high) in ends.items():
        prepared = np.asarray(prepare(levels, preprocessing))
        assert prepared.shape == (2, 299, 299, 3)
        np.testing.assert_allclose(prepared[0], low, atol=1e-6)
        np.testing.assert_allclose(prepared[1], high, atol=1e-6)


@pytest.mark.slow("test_features_of_a_published_image")
def test_eight_devices_and_bfloat16(published, params):
    _, named = published
    squares = [named[name][0] for name in ("noise32", "checker32") if name in named]
    images = np.stack([np.roll(squares[i % len(squares)], i, axis=1) for i in range(8)])
    features = InceptionFeatures(preprocessing="clean_fid")
    one = jax.jit(features)(params, images)
    eight = jax.jit(on_each_device(features, data_mesh()))(params, images)
    half = jax.jit(dataclasses.replace(features, dtype=jnp.bfloat16))(params, images[:2])
    for name, expected in one.items():
        scale = abs(np.asarray(expected)).max()
        np.testing.assert_allclose(eight[name], expected, rtol=0, atol=1e-5 * scale)
        assert half[name].dtype == jnp.float32
        np.testing.assert_allclose(half[name], expected[:2], rtol=0, atol=0.05 * scale)
        assert abs(half[name] - expected[:2]).max() > 1e-5 * scale


def test_what_is_refused():
    with pytest.raises(ValueError, match="must be one of tensorflow, .*: got preprocessing='tf'"):
        InceptionFeatures(preprocessing="tf")
    with pytest.raises(ValueError, match="1 or 3 channels: got an array of shape"):
        prepare(np.zeros((2, 32, 32, 4), np.uint8), "tensorflow")
