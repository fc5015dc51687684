"""Requests are compared with the memory before anything is allocated."""

import jax
import jax.numpy as jnp
import pytest
from in_process import refusal
from tiny import tiny

from sde_jax import memory
from sde_jax.memory import check_fits, size_of


def test_what_does_not_fit_is_named(monkeypatch):
    monkeypatch.setattr(memory, "host_bytes", lambda: 8e9)
    check_fits(7e9, "ten samples")
    said = r"^ten samples need 9 GB of memory at least: there are 8 GB\.$"
    with pytest.raises(ValueError, match=said):
        check_fits(9e9, "ten samples")


def test_the_memory_is_that_of_the_container_if_it_has_less(monkeypatch, tmp_path):
    whole = memory.host_bytes()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CONTROL_GROUP", limit)
    assert memory.host_bytes() >= whole
    limit.write_text("max\n")
    assert memory.host_bytes() >= whole
    limit.write_text("1000\n")
    assert memory.host_bytes() == 1000
    assert memory.device_bytes(4) == 1000, "on CPU, devices share the memory of the host"


def test_the_size_of_a_tree():
    tree = {"a": jnp.zeros((2, 3)), "b": [jax.ShapeDtypeStruct((5,), jnp.bfloat16)]}
    assert size_of(tree) == 24 + 10


@pytest.mark.parametrize(
    ("command", "options", "named"),
    [
        ("sample", ["--count", 2**31 - 1], "`count`=2,147,483,647 samples"),
        ("sample", ["--count", 10**15], "`count` must be at most 2,147,483,647"),
        ("sample", ["--steps", 10**15], "`steps` must be at most 1,000,000"),
        ("likelihood", ["--probes", 10**12], "`probes` must be at most 10,000"),
        ("anomalies", ["--count", 2**31 - 1], "--count 2147483647 images"),
        ("likelihood", ["--batch-size", 10**12], "`batch_size` must be at most"),
    ],
)
def test_options_beyond_the_memory_are_refused(tiny_run, monkeypatch, command, options, named):
    monkeypatch.setattr(memory, "host_bytes", lambda: 2e9)
    line = refusal(command, tiny_run, *options)
    assert named in line
    assert not (tiny_run / "samples").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--training.batch-size", 2**24], "batches of `batch_size`=16,777,216"),
        (["--training.batch-size", 10**12], "`batch_size` must be at most"),
        (["--training.steps", 10**20], "`steps` must be at most"),
    ],
)
def test_a_run_beyond_the_memory_is_not_begun(tmp_path, monkeypatch, options, named):
    monkeypatch.setattr(memory, "host_bytes", lambda: 1e9)
    assert named in refusal("train", tiny("digits"), "--workdir", tmp_path / "run", *options)
    assert list(tmp_path.iterdir()) == []


def test_a_network_beyond_the_memory_is_not_initialized(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "host_bytes", lambda: 1e9)
    options = ["--network.channels", 2**15, "--network.attention-resolutions", 8]
    line = refusal("train", "quickstart", "--workdir", tmp_path / "run", *options)
    assert "the parameters of `network` and their averages need" in line
    assert list(tmp_path.iterdir()) == []
