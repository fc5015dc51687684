"""Networks that diffusers itself builds and saves, where it is installed (extra `benchmark`)."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from diffusers_models import (
    DDPM,
    MODELS,
    NCSNPP,
    PUBLISHED,
    build,
    inputs_and_outputs,
    save_pipeline,
)
from published import relative_error

from sde_jax.interop.diffusers import load_diffusers, slots
from sde_jax.interop.diffusers_network import network_spec, read_network_settings
from sde_jax.nets.condition import Condition

with warnings.catch_warnings(action="ignore"):
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", MODELS)
def test_outputs(tmp_path, name):
    model = build(name)
    save_pipeline(model, tmp_path)
    score = load_diffusers(tmp_path)
    case = inputs_and_outputs(model)
    time = case["time"].astype(np.float32)
    time = np.log(time) if name.startswith("ncsnpp") else time
    condition = Condition(label=jnp.asarray(case["label"])) if "label" in case else None
    network = score.model.network.clone(precision="highest")
    x = case["x"].transpose(0, 2, 3, 1)
    output = network.apply({"params": score.params}, x, time, condition)
    output = np.asarray(output).transpose(0, 3, 1, 2)
    assert relative_error(output, case["output"], by_example=True) <= 1e-5


CHURCH = {
    "sample_size": 256,
    "block_out_channels": (128, 128, 256, 256, 256, 256, 256),
    "down_block_types": ("SkipDownBlock2D",) * 4
    + ("AttnSkipDownBlock2D",)
    + ("SkipDownBlock2D",) * 2,
    "up_block_types": ("SkipUpBlock2D",) * 2 + ("AttnSkipUpBlock2D",) + ("SkipUpBlock2D",) * 4,
    "layers_per_block": 2,
}
CIFAR = {
    "sample_size": 32,
    "block_out_channels": (128, 256, 256, 256),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
}


@pytest.mark.parametrize("settings", [NCSNPP | CHURCH, DDPM | PUBLISHED | CIFAR])
def test_weights_of_published_sizes(tmp_path, settings):
    with torch.device("meta"):
        model = diffusers.UNet2DModel(**settings)
    model.save_config(tmp_path)
    read = read_network_settings(tmp_path / "config.json")
    shapes = {name: slot.shapes[0] for name, slot in slots(network_spec(read), read).items()}
    assert shapes == {name: tuple(value.shape) for name, value in model.state_dict().items()}
