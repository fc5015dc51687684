"""Tests of ``weights inception``: converted to the cache, and refused in one line."""

import hashlib

import numpy as np
import pytest
from in_process import contents, refusal, succeed

from sde_jax.command_line import weights
from sde_jax.interop import inception
from sde_jax.interop.inception import load_inception
from sde_jax.interop.torch_file import write_torch_file


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A published file of a network of classes alone; the cache is a folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shapes = {("fc", "kernel"): (2048, 3), ("fc_bias",): (3,)}
    monkeypatch.setattr(inception, "_expected", lambda: shapes)
    path = tmp_path / "pt_inception.pth"
    write_torch_file(path, {"fc.weight": np.eye(3, 2048), "fc.bias": np.arange(3.0)})
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(weights, "PUBLISHED_SHA256", sha256)
    return path


@pytest.mark.parametrize("how", ["--from", "--download"])
def test_a_published_file_becomes_the_cached_one(published, tmp_path, monkeypatch, how):
    monkeypatch.setattr(weights, "PUBLISHED_URL", published.as_uri())
    results = succeed("weights", "inception", how, *([published] if how == "--from" else []))
    out = tmp_path / "cache" / "sde_jax" / "inception-2015-12-05.safetensors"
    assert results["out"] == str(out)
    assert results["source_sha256"] == hashlib.sha256(published.read_bytes()).hexdigest()
    np.testing.assert_array_equal(load_inception()["fc_bias"], [0, 1, 2])
    assert set(contents(tmp_path / "cache")) == {out}


def test_refusals(published, tmp_path, monkeypatch):
    command = "weights", "inception"
    assert "either --from FILE or --download" in refusal(*command)
    assert "either" in refusal(*command, "--from", published, "--download")
    assert "cannot be read: No such file" in refusal(*command, "--from", tmp_path / "none.pth")
    published.write_bytes(published.read_bytes() + b"0")
    assert "it is not the published file" in refusal(*command, "--from", published)
    monkeypatch.setattr(weights, "PUBLISHED_URL", (tmp_path / "none.pth").as_uri())
    assert "cannot be fetched" in refusal(*command, "--download")
    assert "--from FILE takes a copy" in refusal(*command, "--download")
    assert not list((tmp_path / "cache").rglob("*.*"))
