"""Networks of diffusers: its own outputs, what its settings mean, and what is refused."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusers_models import DRAWN, KEPT, STORED, WEIGHTS, read_case
from published import relative_error
from safetensors.numpy import load_file, save_file

from sde_jax.interop.diffusers import load_diffusers
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.torch_file import write_torch_file
from sde_jax.nets.ddpm import DDPMSpec
from sde_jax.score import DataPrediction, NoisePrediction, VelocityPrediction
from sde_jax.sde import VE, VP


def change(path, **settings):
    """Rewrites settings in a file."""
    kept = json.loads(path.read_text()) | settings
    path.write_text(json.dumps(kept))


def output_of(score, case):
    """What the network of a score gives in the layout of diffusers, told the time as it is there.

    Times of DDPM are whole steps; those of NCSN++ are noise levels.
    """
    x, time = case["x"].transpose(0, 2, 3, 1), case["time"].astype(np.float32)
    time = time if isinstance(score.model.network.spec, DDPMSpec) else np.log(time)
    network = score.model.network.clone(precision="highest")
    return np.asarray(jax.jit(network.apply)({"params": score.params}, x, time)).transpose(
        0, 3, 1, 2
    )


evaluate = jax.jit(lambda score, x, t: score(x, t))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "ddpm_defaults" else pytest.mark.slow)
        for name in STORED + DRAWN
    ],
)
def test_outputs_are_those_of_diffusers(pipeline, name):
    folder = pipeline(name)
    case = read_case(folder)[1]
    output = output_of(load_diffusers(folder), case)
    assert relative_error(output, case["output"], by_example=True) <= 1e-5


@pytest.mark.slow("test_outputs_are_those_of_diffusers")
def test_ncsnpp_is_the_score():
    score = load_diffusers(KEPT / "ncsnpp")
    case = read_case(KEPT / "ncsnpp")[1]
    assert score.model.sde == VE(sigma_min=0.01, sigma_max=1348.0)
    t = np.log(case["time"] / 0.01) / np.log(134800.0)
    value = np.asarray(evaluate(score, case["x"].transpose(0, 2, 3, 1), np.float32(t)))
    assert relative_error(value.transpose(0, 3, 1, 2), case["output"], by_example=True) <= 1e-4


@pytest.mark.slow("test_outputs_are_those_of_diffusers")
def test_ddpm_predicts_the_noise_of_its_chain(pipeline):
    folder = pipeline("ddpm_published")
    score, case = load_diffusers(folder), read_case(folder)[1]
    assert score.model.sde == VP()
    t = np.float32(case["time"] / 999)
    value = np.asarray(evaluate(score, case["x"].transpose(0, 2, 3, 1), t))
    squares = np.cumprod(1 - np.linspace(0.0001, 0.02, 1000))[case["time"]]
    noise = -value.transpose(0, 3, 1, 2) * np.sqrt(1 - squares)[:, None, None, None]
    assert relative_error(noise, case["output"], by_example=True) <= 1e-5


def weights_equal(score, other):
    return jax.tree.all(jax.tree.map(np.array_equal, score.params, other.params))


def test_other_folders(pipeline):
    """A network alone, all files in one folder, former names of layers, a file of PyTorch."""
    folder = pipeline("ddpm_published")
    score, unet = load_diffusers(folder), folder / "unet"
    alone = load_diffusers(unet)
    assert alone.model == score.model
    assert weights_equal(alone, score)

    change(folder / "scheduler" / "scheduler_config.json", beta_end=0.01)
    shutil.copy(folder / "scheduler" / "scheduler_config.json", unet)
    assert load_diffusers(unet).model.sde == VP(beta_min=0.1, beta_max=10.0)

    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(unet / WEIGHTS)
    for name in list(tensors):
        for now, then in former.items():
            if f".{now}." in name:
                tensors[name.replace(now, then)] = tensors.pop(name)
    (unet / WEIGHTS).unlink()
    write_torch_file((unet / WEIGHTS).with_suffix(".bin"), tensors)
    assert weights_equal(load_diffusers(unet), score)


def test_kinds_of_blocks_by_their_first_names(pipeline):
    folder = pipeline("ddpm_published")
    config = folder / "unet" / "config.json"
    settings = json.loads(config.read_text())
    for way in ("down_block_types", "up_block_types"):
        change(config, **{way: [f"UNetRes{kind}" for kind in settings[way]]})
    assert load_diffusers(folder).model.network.spec.attention_resolutions == (8,)


def test_half_precision_weights(pipeline):
    folder = pipeline("ncsnpp")
    path = folder / "unet" / WEIGHTS
    tensors = {name: value.astype(np.float16) for name, value in load_file(path).items()}
    save_file(tensors, path)
    params = load_diffusers(folder).params
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    bias = tensors["conv_in.bias"].astype(np.float32)
    np.testing.assert_array_equal(params["Conv_0"]["bias"], bias)


@pytest.mark.parametrize(
    ("settings", "sde", "parameterization"),
    [
        ({"num_train_timesteps": 500}, VP(beta_min=0.05, beta_max=10.0), NoisePrediction()),
        ({"_class_name": "DDIMScheduler", "prediction_type": "sample"}, VP(), DataPrediction()),
        ({"prediction_type": "v_prediction"}, VP(), VelocityPrediction()),
        (
            {"_class_name": "ScoreSdeVpScheduler", "beta_min": 0.2, "beta_max": 15},
            VP(beta_min=0.2, beta_max=15),
            NoisePrediction(),
        ),
    ],
)
def test_schedulers(pipeline, settings, sde, parameterization):
    folder = pipeline("ddpm_published")
    change(folder / "scheduler" / "scheduler_config.json", **settings)
    model = load_diffusers(folder).model
    assert (model.sde, model.parameterization) == (sde, parameterization)
    told = model.time_condition(model.sde, jnp.ones(1))
    assert told == settings.get("num_train_timesteps", 1000) - 1


@pytest.mark.parametrize(
    ("name", "file", "field", "value"),
    [
        ("ddpm_published", "unet/config.json", "_class_name", "UNet2DConditionModel"),
        ("ddpm_published", "unet/config.json", "time_embedding_type", "learned"),
        ("ddpm_published", "unet/config.json", "down_block_types", ["DownBlock2D", "KDown"]),
        ("ddpm_published", "unet/config.json", "up_block_types", ["AttnUpBlock2D", "UpBlock2D"]),
        ("ddpm_published", "unet/config.json", "block_out_channels", [64, 96]),
        ("ddpm_published", "unet/config.json", "sample_size", None),
        ("ddpm_published", "unet/config.json", "sample_size", [8, 16]),
        ("ddpm_published", "unet/config.json", "out_channels", 6),
        ("ddpm_published", "unet/config.json", "act_fn", "gelu"),
        ("ddpm_published", "unet/config.json", "mid_block_type", None),
        ("ddpm_published", "unet/config.json", "add_attention", False),
        ("ddpm_published", "unet/config.json", "norm_num_groups", 16),
        ("ddpm_published", "unet/config.json", "attn_norm_num_groups", 8),
        ("ddpm_published", "unet/config.json", "class_embed_type", "timestep"),
        ("ddpm_published", "unet/config.json", "resnet_time_scale_shift", "scale_shift"),
        ("ddpm_published", "unet/config.json", "downsample_type", "resnet"),
        ("ddpm_published", "unet/config.json", "upsample_type", "resnet"),
        ("ddpm_published", "unet/config.json", "downsample_padding", 2),
        ("ddpm_published", "unet/config.json", "freq_shift", 2),
        ("ddpm_published", "unet/config.json", "mid_block_scale_factor", 2),
        ("ddpm_published", "unet/config.json", "time_embedding_dim", 64),
        ("ddpm_published", "unet/config.json", "of_the_future", 1),
        ("ncsnpp", "unet/config.json", "time_embedding_type", "positional"),
        ("ncsnpp", "unet/config.json", "in_channels", 1),
        ("ncsnpp", "unet/config.json", "norm_eps", 1e-5),
        ("ncsnpp", "unet/config.json", "norm_num_groups", 2),
        ("ncsnpp", "unet/config.json", "attention_head_dim", 4),
        ("ncsnpp", "unet/config.json", "mid_block_scale_factor", 1),
        ("ncsnpp_attending", "unet/config.json", "block_out_channels", [32, 64]),
        ("ncsnpp", "scheduler/scheduler_config.json", "_class_name", "DDPMScheduler"),
        ("ddpm_published", "scheduler/scheduler_config.json", "_class_name", 5),
        ("ddpm_published", "scheduler/scheduler_config.json", "timestep_type", "continuous"),
        ("ddpm_published", "scheduler/scheduler_config.json", "beta_schedule", "scaled_linear"),
        ("ddpm_published", "scheduler/scheduler_config.json", "trained_betas", [0.1, 0.2]),
        ("ddpm_published", "scheduler/scheduler_config.json", "rescale_betas_zero_snr", True),
        ("ddpm_published", "scheduler/scheduler_config.json", "prediction_type", "flow"),
    ],
)
def test_settings_that_are_refused(tmp_path, name, file, field, value):
    """Before any weights are read."""
    folder = shutil.copytree(KEPT / name, tmp_path / name)
    change(folder / file, **{field: value})
    with pytest.raises(CheckpointFileError) as caught:
        load_diffusers(folder)
    assert caught.value.path == folder / file
    assert any(problem.startswith(f"`{field}` is {value!r}: ") for problem in caught.value.problems)


def test_all_settings_that_are_refused_are_named(tmp_path):
    folder = shutil.copytree(KEPT / "ddpm_published", tmp_path / "folder")
    change(folder / "unet" / "config.json", act_fn="gelu", freq_shift=3)
    with pytest.raises(CheckpointFileError) as caught:
        load_diffusers(folder)
    assert [problem.split("`")[1] for problem in caught.value.problems] == ["act_fn", "freq_shift"]


def test_heads_that_do_not_divide_the_channels(pipeline):
    folder = pipeline("ddpm_defaults")
    change(folder / "unet" / "config.json", attention_head_dim=24)
    with pytest.raises(ValueError, match="divide 32 channels into heads of 24"):
        load_diffusers(folder)


def test_weights_of_another_network(pipeline):
    folder = pipeline("ncsnpp")
    path = folder / "unet" / WEIGHTS
    tensors = load_file(path)
    del tensors["conv_in.bias"]
    tensors["conv_on.bias"] = np.zeros(4, np.float32)
    tensors["down_blocks.0.skip_conv.weight"] = np.zeros((4, 3), np.float32)
    save_file(tensors, path)
    with pytest.raises(CheckpointFileError) as caught:
        load_diffusers(folder)
    assert caught.value.path == path
    assert set(caught.value.problems) == {
        "it lacks conv_in.bias, of shape (4,)",
        "it has conv_on.bias, which the model does not have",
        "it has down_blocks.0.skip_conv.weight of shape (4, 3), not (4, 3, 1, 1)",
    }


def test_damaged_files(pipeline):
    folder = pipeline("ncsnpp")
    weights, config = folder / "unet" / WEIGHTS, folder / "unet" / "config.json"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(CheckpointFileError, match=f"{WEIGHTS}: the file is damaged"):
        load_diffusers(folder)
    weights.unlink()
    with pytest.raises(FileNotFoundError):
        load_diffusers(folder)
    write_torch_file(weights.with_suffix(".bin"), [1])
    with pytest.raises(CheckpointFileError, match="bin: it holds no dict of weights"):
        load_diffusers(folder)
    for content, why in (("{", "no JSON file"), ("[]", "no JSON object")):
        config.write_text(content)
        with pytest.raises(CheckpointFileError, match=why):
            load_diffusers(folder)
