"""Weights as safetensors, as other programs see them."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.safetensors_file import read_safetensors, write_safetensors

PARAMS = {
    "Conv_0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T},
    "scale": jnp.ones(2),
}


def test_round_trip(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, PARAMS, {"nf": 8, "ch_mult": (1, 2)})
    params, configuration = read_safetensors(path)
    assert configuration == {"nf": 8, "ch_mult": [1, 2]}
    assert params.keys() == PARAMS.keys()
    np.testing.assert_array_equal(params["scale"], [1, 1], strict=False)
    kernel = params["Conv_0"]["kernel"]
    np.testing.assert_array_equal(kernel, PARAMS["Conv_0"]["kernel"], strict=True)


def test_what_others_see(tmp_path):
    write_safetensors(tmp_path / "weights.safetensors", PARAMS, {"nf": 8})
    with safe_open(tmp_path / "weights.safetensors", framework="numpy") as file:
        assert sorted(file.keys()) == ["Conv_0.kernel", "scale"]
        np.testing.assert_array_equal(file.get_tensor("Conv_0.kernel"), [[0, 3], [1, 4], [2, 5]])
        assert json.loads(file.metadata()["configuration"]) == {"nf": 8}


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"configuration": "{"}])
def test_files_of_others(tmp_path, metadata):
    save_file({"x": np.zeros(2)}, tmp_path / "weights.safetensors", metadata)
    with pytest.raises(CheckpointFileError, match="not written with a `configuration`"):
        read_safetensors(tmp_path / "weights.safetensors")


def test_names_that_hold_both_an_array_and_others(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"x": np.zeros(2), "x.y": np.zeros(2)}, path, {"configuration": "{}"})
    with pytest.raises(CheckpointFileError):
        read_safetensors(path)


def test_damage(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, PARAMS, {})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointFileError, match="no file of safetensors"):
        read_safetensors(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_safetensors(tmp_path / "weights.safetensors")
