"""Checkpoints of stored networks in both published formats, into our layout and back."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest
from checkpoints import flax_content, is_used, model_of, names_of, torch_content
from flax import serialization
from published import parameters_of, read

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.published_model import PublishedModel
from sde_jax.interop.safetensors_file import write_safetensors
from sde_jax.interop.score_sde import (
    load_checkpoint,
    load_weights,
    read_checkpoint,
    save_checkpoint,
    save_weights,
)
from sde_jax.interop.torch_file import read_torch_file, write_torch_file

KEPT = pathlib.Path(__file__).parents[1] / "data" / "parity" / "nets"
each_kept = pytest.mark.parametrize("path", sorted(KEPT.glob("*.npz")), ids=lambda path: path.stem)
FOURIER = KEPT / "outskip_inskip_sum.npz"


def write_flax_file(path, content):
    path.write_bytes(serialization.msgpack_serialize(content))
    return path


def write_torch(path, content):
    write_torch_file(path, content)
    return path


def network_of(path):
    """Arrays, `meta` and model of a stored network."""
    arrays, meta = read(path)
    return arrays, meta, model_of(meta["data"], meta["model"])


def except_frequencies(function, params):
    """``function`` of every parameter but the frequencies of Fourier features, which are zero."""
    return {
        name: jax.tree.map(np.zeros_like if "Fourier" in name else function, module)
        for name, module in params.items()
    }


def assert_equal(actual, expected):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b, strict=True), actual, expected)


def hold_to_state(state, params):
    """What `torch_content` and `flax_content` hold, of these parameters."""
    assert state.step == state.moments.updates == 7
    assert_equal(state.params, params)
    averages = except_frequencies(np.negative, params)
    frequencies = {name: module for name, module in params.items() if "Fourier" in name}
    assert_equal(state.ema_params, averages | frequencies)
    assert_equal(state.moments.mean, except_frequencies(lambda x: 2 * x, params))
    assert_equal(state.moments.mean_square, except_frequencies(np.square, params))


@each_kept
def test_pytorch_file(tmp_path, path):
    arrays, meta, model = network_of(path)
    file = write_torch(tmp_path / "checkpoint_1.pth", torch_content(arrays, meta))
    hold_to_state(read_checkpoint(file, model), parameters_of(arrays, meta))


@each_kept
def test_flax_file(tmp_path, path):
    arrays, meta, model = network_of(path)
    content = flax_content(arrays, meta, expand=True)
    moments = content["optimizer"]["state"]["param_states"]
    frequencies = moments.get("GaussianFourierProjection_0", {"W": {}})["W"]
    frequencies.update({key: np.zeros_like(value) for key, value in frequencies.items()})
    file = write_flax_file(tmp_path / "checkpoint_1", content)
    hold_to_state(read_checkpoint(file, model), parameters_of(arrays, meta))


def resaved(folder, content, model):
    """What is in a checkpoint that was read and saved again, and the noise levels in both."""
    state = read_checkpoint(write_torch(folder / "old.pth", content), model)
    save_checkpoint(folder / "new.pth", model, state)
    saved = read_torch_file(folder / "new.pth")
    return saved, [part["model"].pop("module.sigmas") for part in (saved, content)]


@each_kept
def test_saving_is_the_inverse_of_reading(tmp_path, path):
    arrays, meta, model = network_of(path)
    content = torch_content(arrays, meta)
    saved, noise_levels = resaved(tmp_path, content, model)
    np.testing.assert_allclose(*noise_levels, rtol=1e-12)
    assert noise_levels[0].dtype == np.float64
    assert saved["optimizer"].pop("param_groups")[0]["params"] == [*range(len(names_of(arrays)[0]))]
    del content["optimizer"]["param_groups"]
    assert [*saved, *saved["model"]] == [*content, *content["model"]]
    assert_equal(saved, content)


def test_what_unconditional_networks_do_not_use_is_zero(shared, tmp_path):
    arrays, meta, model = network_of(shared / "parity" / "nets" / "extra" / "unconditional.npz")
    content = torch_content(arrays, meta)
    file = write_torch(tmp_path / "checkpoint_1.pth", content)
    hold_to_state(read_checkpoint(file, model), parameters_of(arrays, meta))
    saved, _ = resaved(tmp_path, content, model)
    assert list(saved["model"]) == list(content["model"])
    unused = 0
    for name, value in content["model"].items():
        used = is_used(name, meta)
        np.testing.assert_array_equal(saved["model"][name], value if used else np.zeros_like(value))
        unused += not used
    assert unused == 2 * sum(row["type"].startswith("Resnet") for row in meta["trace_rows"])
    assert saved["optimizer"]["state"].keys() == content["optimizer"]["state"].keys()


def test_names_without_prefix(tmp_path):
    arrays, meta, model = network_of(FOURIER)
    content = torch_content(arrays, meta, prefix="")
    score = load_checkpoint(write_torch(tmp_path / "a.pth", content), model, weights="raw")
    assert_equal(jax.tree.map(np.asarray, score.params), parameters_of(arrays, meta))


def test_weights_of_either_kind(tmp_path):
    arrays, meta, model = network_of(FOURIER)
    file = write_torch(tmp_path / "a.pth", torch_content(arrays, meta, ema=np.square))
    params = parameters_of(arrays, meta)
    kernel = params["Conv_0"]["kernel"]
    for weights, expected in {"ema": kernel**2, "raw": kernel}.items():
        score = load_checkpoint(file, model, weights=weights)
        np.testing.assert_array_equal(score.params["Conv_0"]["kernel"], expected)
        frequencies = params["GaussianFourierFeatures_0"]["W"]
        np.testing.assert_array_equal(score.params["GaussianFourierFeatures_0"]["W"], frequencies)
    with pytest.raises(ValueError, match="`weights` must be 'ema' or 'raw': got 'best'"):
        load_checkpoint(file, model, weights="best")


def test_before_the_first_update_there_are_no_moments(tmp_path):
    arrays, meta, model = network_of(FOURIER)
    content = torch_content(arrays, meta, step=0)
    content["optimizer"]["state"] = {}
    state = read_checkpoint(write_torch(tmp_path / "a.pth", content), model)
    assert state.moments is None
    save_checkpoint(tmp_path / "b.pth", model, state)
    saved = read_torch_file(tmp_path / "b.pth")
    assert saved["optimizer"]["state"] == {}
    assert saved["optimizer"]["param_groups"][0]["lr"] == 0


def test_learning_rate_of_the_last_update(tmp_path):
    """That of update 51 follows 50: 50 / 5000 of the whole; of update 6000 it is the whole."""
    arrays, meta, model = network_of(FOURIER)
    for step, share in {51: 0.01, 6000: 1.0}.items():
        saved, _ = resaved(tmp_path, torch_content(arrays, meta, step=step), model)
        assert saved["optimizer"]["param_groups"][0]["lr"] == pytest.approx(2e-4 * share)


def spoiled_content():
    """A checkpoint with one fault of each kind, and the lines that report them."""
    arrays, meta, model = network_of(FOURIER)
    content = torch_content(arrays, meta)
    named, states = content["model"], content["optimizer"]["state"]
    named["module.sigmas"] = np.geomspace(90, 0.01, 1000)
    del named["module.all_modules.3.bias"]
    named["module.all_modules.3.weight"] = np.zeros((8, 3, 5, 5), np.float32)
    named["module.all_modules.1.bias"] = np.zeros(32, np.int32)
    named["module.all_modules.99.bias"] = np.zeros(2, np.float32)
    content["ema"]["shadow_params"][0] = np.zeros((3, 16), np.float32)
    del states[5]
    states[6]["step"] = np.asarray(8.0, np.float32)
    states[7]["exp_avg"] = np.zeros(9, np.float32)
    states[999] = {"step": 7, "exp_avg": np.zeros(1), "exp_avg_sq": np.zeros(1)}
    content["step"] = [7]
    return (
        content,
        model,
        [
            "the sigmas in `model` are 1000 noise levels from 90 to 0.01; those of `num_scales`, "
            "`sigma_max` and `sigma_min` are 1000 noise levels from 50 to 0.01",
            "`model` lacks all_modules.3.bias, of shape (8,)",
            "`model` has all_modules.3.weight of shape (8, 3, 5, 5), not (8, 3, 3, 3)",
            "`model` has all_modules.1.bias without real numbers",
            "`model` has all_modules.99.bias, which the model does not have",
            "`ema` has all_modules.1.weight of shape (3, 16), not (32, 16)",
            "`optimizer` counts [7, 8] updates",
            "`optimizer` exp_avg lacks all_modules.3.weight, of shape (8, 3, 3, 3)",
            "`optimizer` exp_avg_sq lacks all_modules.3.weight, of shape (8, 3, 3, 3)",
            "`optimizer` exp_avg has all_modules.4.GroupNorm_0.weight of shape (9,), not (8,)",
            "`optimizer` exp_avg has parameter 999, which the model does not have",
            "`optimizer` exp_avg_sq has parameter 999, which the model does not have",
            "it lacks the number step",
        ],
    )


def test_one_error_lists_all_that_does_not_fit(tmp_path):
    content, model, problems = spoiled_content()
    file = write_torch(tmp_path / "a.pth", content)
    with pytest.raises(CheckpointFileError) as error:
        read_checkpoint(file, model)
    first, second, *lines = str(error.value).splitlines()
    assert (first, second) == (f"{file}:", "  it does not fit the model")
    assert sorted(lines) == sorted(f"  {problem}" for problem in problems)
    assert error.value.path == file


@pytest.mark.parametrize("change", [{"num_scales": 999}, {"sigma_min": 0.02}, {"sigma_max": 51.0}])
def test_noise_levels_of_another_model(tmp_path, change):
    arrays, meta, model = network_of(FOURIER)
    file = write_torch(tmp_path / "a.pth", torch_content(arrays, meta))
    with pytest.raises(CheckpointFileError, match="1000 noise levels from 50 to 0.01; those of"):
        load_checkpoint(file, dataclasses.replace(model, **change))


@pytest.mark.parametrize("wrong", [-5, 1.5, True, 2**31, 2**62, float("nan"), np.ones(2)])
def test_steps_that_count_no_updates(tmp_path, wrong):
    arrays, meta, model = network_of(FOURIER)
    file = write_torch(tmp_path / "a.pth", torch_content(arrays, meta) | {"step": wrong})
    with pytest.raises(CheckpointFileError, match="the number step"):
        read_checkpoint(file, model)


def test_ema_of_another_network(tmp_path):
    arrays, meta, model = network_of(FOURIER)
    content = torch_content(arrays, meta)
    count = len(content["ema"]["shadow_params"])
    content["ema"]["shadow_params"].insert(0, arrays["param/all_modules.0.W"])
    file = write_torch(tmp_path / "a.pth", content)
    with pytest.raises(CheckpointFileError, match=f"`ema` has {count + 1} tensors, not {count}"):
        load_checkpoint(file, model)
    load_checkpoint(file, model, weights="raw")


def test_flax_file_that_does_not_fit(tmp_path):
    arrays, meta, model = network_of(FOURIER)
    content = flax_content(arrays, meta)
    del content["params_ema"]["Conv_0"]["bias"]
    content["params_ema"]["Conv_99"] = {"bias": np.zeros(2)}
    content["params_ema"]["GroupNorm_0"]["scale"] = np.zeros((1, 16))
    with pytest.raises(CheckpointFileError) as error:
        load_checkpoint(write_flax_file(tmp_path / "checkpoint_1", content), model)
    assert sorted(error.value.problems) == [
        "`params_ema` has Conv_99/bias, which the model does not have",
        "`params_ema` has GroupNorm_0/scale of shape (1, 16), not (16,)",
        "`params_ema` lacks Conv_0/bias, of shape (8,)",
        "it does not fit the model",
    ]


@pytest.mark.parametrize("content", [[1, 2], {"model": []}, {"epoch": 3}])
def test_files_that_hold_something_else(tmp_path, content):
    file = write_torch(tmp_path / "a.pth", content)
    with pytest.raises(CheckpointFileError, match="no dict|lacks the dict `model`"):
        load_checkpoint(file, PublishedModel(nf=8, ch_mult=(1,)))


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("checkpoint_1", b"\x80\2}.", "PyTorch before 1.6"),
        ("checkpoint_1.pth", b"text", "no file of `torch.save`"),
        ("checkpoint_1", b"text", "no msgpack file of Flax"),
        ("checkpoint_1", b"PK\3\4", "damaged"),
    ],
)
def test_files_of_another_format(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointFileError, match=message):
        load_checkpoint(tmp_path / name, PublishedModel(nf=8, ch_mult=(1,)))


def test_safetensors(tmp_path):
    arrays, meta, model = network_of(FOURIER)
    params = parameters_of(arrays, meta)
    save_weights(tmp_path / "a.safetensors", model, params)
    score = load_weights(tmp_path / "a.safetensors")
    assert score.model == model.score_model
    assert_equal(jax.tree.map(np.asarray, score.params), params)
    del params["Conv_0"]["bias"]
    save_weights(tmp_path / "b.safetensors", model, params)
    with pytest.raises(CheckpointFileError, match="it lacks Conv_0.bias"):
        load_weights(tmp_path / "b.safetensors")
    write_safetensors(tmp_path / "c.safetensors", params, {"colour": 1})
    with pytest.raises(CheckpointFileError, match="is no model: a model has no field colour"):
        load_weights(tmp_path / "c.safetensors")
