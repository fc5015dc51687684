"""Inception's weights: folded as the network was, hashed, and refused in one line."""

import hashlib

import numpy as np
import pytest

from sde_jax.interop import inception
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.inception import (
    cached_inception,
    inception_params,
    load_inception,
    read_published_inception,
    save_inception,
    weights_sha256,
)
from sde_jax.interop.torch_file import write_torch_file

UNIT = ("Mixed_5b", "branch1x1")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A network of one convolution and two classes, in place of the whole one."""
    shapes = {(*UNIT, "kernel"): (1, 3, 4, 5), (*UNIT, "bias"): (5,)}
    shapes |= {("fc", "kernel"): (6, 2), ("fc_bias",): (2,)}
    monkeypatch.setattr(inception, "_expected", lambda: shapes)


@pytest.fixture
def tensors():
    random = np.random.default_rng(0)
    name = ".".join(UNIT)
    shapes = {f"{name}.conv.weight": (5, 4, 1, 3), "fc.weight": (2, 6), "fc.bias": (2,)}
    shapes |= {f"{name}.bn.{part}": (5,) for part in ("weight", "bias", "running_mean")}
    tensors = {key: random.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    return tensors | {f"{name}.bn.running_var": random.uniform(1, 2, 5).astype(np.float32)}


@pytest.fixture
def published(tensors, tmp_path):
    """A file, and its hash."""
    path = tmp_path / "published.pth"
    write_torch_file(path, tensors)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_convolution_normalizes(tensors):
    problems = []
    params = inception_params(tensors | {"Mixed_5b.branch1x1.bn.num_batches_tracked": 3}, problems)
    assert not problems
    unit, (weight, bias, mean, variance) = (
        params["Mixed_5b"]["branch1x1"],
        (
            tensors[f"Mixed_5b.branch1x1.bn.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        ),
    )
    patch = np.random.default_rng(1).normal(size=(4, 1, 3))
    convolved = (tensors["Mixed_5b.branch1x1.conv.weight"] * patch).sum(axis=(1, 2, 3))
    expected = (convolved - mean) / np.sqrt(variance + 1e-3) * weight + bias
    found = np.einsum("hwio,ihw->o", unit["kernel"], patch) + unit["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    x = np.random.default_rng(2).normal(size=6)
    logits = tensors["fc.weight"] @ x + tensors["fc.bias"]
    np.testing.assert_allclose(x @ params["fc"]["kernel"] + params["fc_bias"], logits, rtol=1e-5)


def test_from_the_published_file_to_the_cache_and_back(published, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(CheckpointFileError, match="no Inception weights: `sde-jax"):
        load_inception()
    path, sha256 = published
    params = read_published_inception(path, sha256)
    assert cached_inception().parent == tmp_path / "cache" / "sde_jax"
    cached_inception().parent.mkdir(parents=True)
    save_inception(cached_inception(), params)
    loaded = load_inception()
    np.testing.assert_array_equal(loaded["fc"]["kernel"], params["fc"]["kernel"], strict=True)
    assert weights_sha256(loaded) == weights_sha256(params)
    loaded["fc_bias"] = loaded["fc_bias"] + 1e-6
    assert weights_sha256(loaded) != weights_sha256(params)


def test_other_files(published, tensors):
    path, sha256 = published
    with pytest.raises(CheckpointFileError, match=f"SHA-256 is {sha256}, not 6726825d0af5f729"):
        read_published_inception(path)
    del tensors["fc.bias"]
    write_torch_file(path, tensors | {"fc.weight": tensors["fc.weight"].T, "more": np.zeros(2)})
    with pytest.raises(CheckpointFileError) as caught:
        read_published_inception(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert caught.value.problems == [
        "the file has fc.weight of shape (6, 2), not (2, 6)",
        "the file lacks fc.bias, of shape (2,)",
        "the file has more, which the model does not have",
    ]
    write_torch_file(path, [1, 2])
    with pytest.raises(CheckpointFileError, match="no dict of tensors"):
        read_published_inception(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_damage_of_the_converted_file(published, tmp_path):
    path, sha256 = published
    out = tmp_path / "inception.safetensors"
    save_inception(out, read_published_inception(path, sha256))
    whole = out.read_bytes()
    out.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointFileError, match="not whole Inception weights"):
        load_inception(out)
    out.write_bytes(whole[:-8])
    with pytest.raises(CheckpointFileError, match="no file of safetensors"):
        load_inception(out)
