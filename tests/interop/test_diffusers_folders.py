"""Folders of diffusers as people share them, and settings of the wrong types."""

import json
import math
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusers_models import KEPT, WEIGHTS
from safetensors.flax import save_file as save_flax
from safetensors.numpy import load_file, save_file
from test_diffusers import change

from sde_jax.interop.diffusers import load_diffusers
from sde_jax.interop.diffusers_files import read_weights
from sde_jax.interop.diffusers_network import read_network_settings
from sde_jax.interop.diffusers_scheduler import read_score_model
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.torch_file import write_torch_file

UNET, SCHEDULER = "unet/config.json", "scheduler/scheduler_config.json"


@pytest.fixture
def unet(tmp_path):
    """A copy of the folder of a network with its weights, and these."""
    folder = shutil.copytree(KEPT / "ncsnpp" / "unet", tmp_path / "unet")
    return folder, load_file(folder / WEIGHTS)


def assert_read(folder, tensors, name):
    path, found = read_weights(folder)
    assert path == folder / name
    assert found.keys() == tensors.keys()
    for key, value in tensors.items():
        np.testing.assert_array_equal(np.asarray(found[key]), np.asarray(value))


def shard(folder, tensors, variant=""):
    """Writes the tensors in two shards, and returns the name of their index."""
    (folder / WEIGHTS).unlink(missing_ok=True)
    names, stem = sorted(tensors), f"diffusion_pytorch_model{variant}"
    files = [f"{stem}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {name: files[place % 2] for place, name in enumerate(names)}
    for file in files:
        save_file({n: v for n, v in tensors.items() if index[n] == file}, folder / file)
    name = f"diffusion_pytorch_model.safetensors.index{variant}.json"
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return name


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_shards(unet, capsys, variant):
    folder, tensors = unet
    assert_read(folder, tensors, shard(folder, tensors, variant))
    said = capsys.readouterr().err
    assert said == f"{folder} has no {WEIGHTS}: its variant fp16 is used\n" * bool(variant)


def test_a_variant_serves_where_there_is_nothing_else(unet, capsys):
    folder, tensors = unet
    half = {name: jnp.asarray(value, jnp.bfloat16) for name, value in tensors.items()}
    save_flax(half, folder / "diffusion_pytorch_model.bf16.safetensors")
    assert_read(folder, tensors, WEIGHTS)
    assert not capsys.readouterr().err
    (folder / WEIGHTS).unlink()
    assert_read(folder, half, "diffusion_pytorch_model.bf16.safetensors")
    assert capsys.readouterr().err == f"{folder} has no {WEIGHTS}: its variant bf16 is used\n"


@pytest.mark.parametrize("map_", [None, {}, [1], {"a": 1}, {"a": "../a"}, {"a": "gone"}])
def test_an_index_that_names_no_files(unet, map_):
    folder, tensors = unet
    index = folder / shard(folder, tensors)
    index.write_text(json.dumps({"weight_map": map_}))
    with pytest.raises(
        CheckpointFileError, match="weight_map|files that are missing: gone"
    ) as error:
        read_weights(folder)
    assert error.value.path == index


def test_averaged_weights_go_first(pipeline, capsys):
    """As training by diffusers leaves them: with the settings of the average beside the others."""
    folder = pipeline("ddpm_published")
    before, average = load_diffusers(folder), shutil.copytree(folder / "unet", folder / "unet_ema")
    change(average / "config.json", decay=0.9999, optimization_step=7, sample_size=[8, 8])
    tensors = {f"module.{k}": 2 * v for k, v in load_file(average / WEIGHTS).items()}
    (average / WEIGHTS).unlink()
    write_torch_file((average / WEIGHTS).with_suffix(".bin"), tensors)
    change(
        folder / SCHEDULER, _class_name="DPMSolverMultistepScheduler", solver_order=2, beta_end=0.02
    )
    capsys.readouterr()
    score = load_diffusers(folder)
    said = f"{folder}: its averaged weights are used, those of unet_ema\n"
    assert (score.model, capsys.readouterr().err) == (before.model, said)
    twice = jax.tree.map(lambda x: 2 * x, before.params)
    jax.tree.map(np.testing.assert_array_equal, score.params, twice)


def test_a_scheduler_of_unknown_betas(tmp_path):
    path = tmp_path / "scheduler_config.json"
    path.write_text(json.dumps({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3}))
    with pytest.raises(CheckpointFileError, match="or one that states beta_end, beta_schedule"):
        read_score_model(path, None, takes_noise_level=False)


WRONG = [
    *((UNET, "in_channels", value) for value in ("3", None, 0, -1, 1.5, True, 10**9, [3])),
    *((UNET, "layers_per_block", value) for value in ("x", 0, 10**9, None, {})),
    *((UNET, "block_out_channels", value) for value in (5, "x", [], [0], [10**9], [[1]], None)),
    *((UNET, "down_block_types", value) for value in (None, 5, [1], "DownBlock2D", [])),
    *((UNET, "sample_size", value) for value in ("8", 0, -8, 1.5, True, 10**12, [8], [8, 16])),
    *((UNET, "dropout", value) for value in ("x", -0.1, 1.0, None, math.nan)),
    *((UNET, "norm_eps", value) for value in ("x", 0, -1, math.inf)),
    *((UNET, "num_class_embeds", value) for value in ("x", 0, 10**12, 1.5)),
    *((UNET, "attention_head_dim", value) for value in ("x", 0, [8])),
    *((UNET, "norm_num_groups", value) for value in ("x", [32], 0)),
    *((UNET, "mid_block_scale_factor", value) for value in ("x", None, [1])),
    *((UNET, "center_input_sample", value) for value in ("yes", 1, None)),
    *((SCHEDULER, "num_train_timesteps", value) for value in ("x", 1, 10**12, True, 1.5, None)),
    *((SCHEDULER, "beta_start", value) for value in ("x", 0, -1, None, math.nan)),
    *((SCHEDULER, "_class_name", value) for value in (5, [], None, {})),
]


@pytest.mark.parametrize(("file", "field", "value"), WRONG)
def test_settings_of_the_wrong_type(tmp_path, file, field, value):
    path = Path(shutil.copy(KEPT / "ddpm_published" / file, tmp_path))
    change(path, **{field: value})
    with pytest.raises(CheckpointFileError, match=f"`{field}` is ") as error:
        if file == UNET:
            read_network_settings(path)
        else:
            read_score_model(path, None, takes_noise_level=False)
    assert error.value.path == path


def test_betas_that_fall(tmp_path):
    path = Path(shutil.copy(KEPT / "ddpm_published" / SCHEDULER, tmp_path))
    change(path, beta_start=0.02, beta_end=0.01)
    with pytest.raises(CheckpointFileError, match="Did you swap them"):
        read_score_model(path, None, takes_noise_level=False)
