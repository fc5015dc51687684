"""Weights as people share them: parts of checkpoints, wrapped modules, other types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoints import torch_content
from published import parameters_of
from test_score_sde import FOURIER, assert_equal, network_of, write_torch

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.score_sde import load_checkpoint, read_checkpoint


@pytest.fixture(scope="module")
def stored():
    """A stored network: its arrays, their description and its model."""
    return network_of(FOURIER)


@pytest.fixture(scope="module")
def names(stored):
    """Its tensors by the names that its own code gives them."""
    return torch_content(*stored[:2], prefix="")["model"]


def renamed(tensors, prefix):
    return {prefix + name: value for name, value in tensors.items()}


FORMS = {
    "without optimizer and ema": lambda names: {"model": names, "step": 7},
    "a bare dict": lambda names: names,
    "a tutorial's": lambda names: {"model_state_dict": names, "epoch": 3},
    "of Lightning": lambda names: {"state_dict": renamed(names, "net.model."), "epoch": 3},
    "wrapped twice": lambda names: renamed(names, "module.module."),
    "compiled": lambda names: renamed(names, "_orig_mod."),
    "compiled and wrapped": lambda names: {"model": renamed(names, "_orig_mod.module.")},
    "parameters alone": lambda names: {k: v for k, v in names.items() if k != "sigmas"},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_parameters_are_found(tmp_path, stored, names, capsys, form):
    arrays, meta, model = stored
    content = form(names)
    file = write_torch(tmp_path / "a.pth", content)
    state = read_checkpoint(file, model)
    assert_equal(state.params, parameters_of(arrays, meta))
    assert_equal(state.ema_params, state.params)
    assert (state.step, state.moments) == (content.get("step", 0), None)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{file} has no `ema`: the average starts from the parameters, no `opt")
    assert ("updates are counted from 0" in line) == ("step" not in content)


def test_an_average_by_names(tmp_path, stored, names):
    arrays, meta, model = stored
    average = {name: np.square(value) for name, value in names.items()}
    content = {"model": names, "ema": renamed(average, "module.")}
    score = load_checkpoint(write_torch(tmp_path / "a.pth", content), model)
    expected = parameters_of(arrays, meta)["Conv_0"]["kernel"] ** 2
    np.testing.assert_array_equal(score.params["Conv_0"]["kernel"], expected)


def test_the_parameters_serve_without_an_average(tmp_path, stored, names, capsys):
    arrays, meta, model = stored
    file = write_torch(tmp_path / "a.pth", {"model": names})
    score = load_checkpoint(file, model)
    assert_equal(jax.tree.map(np.asarray, score.params), parameters_of(arrays, meta))
    said = capsys.readouterr().err
    assert said == f"{file} has no `ema`: its parameters are used without averaging\n"
    load_checkpoint(file, model, weights="raw")
    assert not capsys.readouterr().err


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.float32])
def test_noise_levels_may_be_rounded(tmp_path, stored, names, dtype):
    _, _, model = stored
    rounded = {name: value.astype(dtype) for name, value in names.items()}
    score = load_checkpoint(write_torch(tmp_path / "a.pth", rounded), model)
    assert {leaf.dtype for leaf in jax.tree.leaves(score.params)} == {jnp.dtype(jnp.float32)}
    rounded["sigmas"] = (1.05 * names["sigmas"]).astype(dtype)
    with pytest.raises(CheckpointFileError, match="noise levels from 52"):
        load_checkpoint(write_torch(tmp_path / "b.pth", rounded), model)


def test_two_networks_in_a_file_are_named(tmp_path, stored, names):
    _, _, model = stored
    both = renamed(names, "first.") | renamed(names, "second.")
    with pytest.raises(CheckpointFileError, match="second.all_modules.0.W, which the model does"):
        load_checkpoint(write_torch(tmp_path / "a.pth", both), model)
