"""Models of diffusers with random weights, and what they give.

With diffusers and PyTorch installed, ``python tests/diffusers_models.py`` writes the files beside
the tests: a pipeline with its weights, and others whose weights are drawn again by each test.
"""

import pathlib
import shutil
import tempfile

import numpy as np

KEPT = pathlib.Path(__file__).parent / "data" / "interop" / "diffusers"
WEIGHTS = "diffusion_pytorch_model.safetensors"

DDPM = {
    "sample_size": 8,
    "layers_per_block": 1,
    "block_out_channels": (32, 64),
    "down_block_types": ("AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D"),
}
PUBLISHED = {
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
    "attention_head_dim": None,
}
NCSNPP = {
    "sample_size": 16,
    "layers_per_block": 1,
    "block_out_channels": (4, 8),
    "down_block_types": ("SkipDownBlock2D", "SkipDownBlock2D"),
    "up_block_types": ("SkipUpBlock2D", "SkipUpBlock2D"),
    "norm_num_groups": None,
    "norm_eps": 1e-6,
    "time_embedding_type": "fourier",
    "mid_block_scale_factor": 2**0.5,
    "attention_head_dim": None,
}
MODELS = {
    "ddpm_published": DDPM | PUBLISHED | {"dropout": 0.1},
    "ddpm_defaults": DDPM,
    "ddpm_deep": DDPM
    | {
        "in_channels": 1,
        "out_channels": 1,
        "layers_per_block": 2,
        "block_out_channels": (32, 32, 64),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "center_input_sample": True,
        "attention_head_dim": 16,
        "num_class_embeds": 5,
    },
    "ncsnpp": NCSNPP,
    "ncsnpp_deep": NCSNPP
    | {
        "layers_per_block": 2,
        "block_out_channels": (8, 16, 8),
        "down_block_types": ("SkipDownBlock2D",) * 3,
        "up_block_types": ("SkipUpBlock2D",) * 3,
        "center_input_sample": True,
    },
    "ncsnpp_attending": NCSNPP
    | {
        "sample_size": 8,
        "block_out_channels": (32, 128),
        "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
        "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    },
}
STORED = ["ncsnpp"]
DRAWN = ["ddpm_published", "ddpm_defaults", "ncsnpp_attending"]


def read_case(folder):
    """Names and shapes of the weights, and the inputs and outputs, that `write_kept` wrote."""
    with np.load(folder / "case.npz") as stored:
        case = dict(stored)
    sizes = [tuple(map(int, shape.split())) for shape in case.pop("shapes")]
    return dict(zip(map(str, case.pop("names")), sizes, strict=True)), case


def draw(shapes):
    """Weights for the names and shapes of tensors; numpy promises that they stay the same."""
    rng = np.random.RandomState(0)
    tensors = {}
    for name, shape in shapes.items():
        value = rng.standard_normal(shape)
        if name == "time_proj.weight":
            value *= 16
        elif len(shape) == 1:
            value = 0.5 + 0.3 * value
        else:
            value /= np.sqrt(np.prod(shape[1:]))
        tensors[name] = value.astype(np.float32)
    return tensors


def build(name):
    """A model of diffusers, with drawn weights."""
    import diffusers
    import torch

    model = diffusers.UNet2DModel(**MODELS[name]).eval()
    tensors = draw({key: tuple(value.shape) for key, value in model.state_dict().items()})
    model.load_state_dict({key: torch.from_numpy(value) for key, value in tensors.items()})
    return model


def save_pipeline(model, folder, **settings):
    """Writes the folder of a pipeline of ``model`` and its usual scheduler."""
    import diffusers

    if model.config.time_embedding_type == "fourier":
        scheduler = diffusers.ScoreSdeVeScheduler(**settings)
        diffusers.ScoreSdeVePipeline(unet=model, scheduler=scheduler).save_pretrained(folder)
    else:
        scheduler = diffusers.DDPMScheduler(**settings)
        diffusers.DDPMPipeline(unet=model, scheduler=scheduler).save_pretrained(folder)


def inputs_and_outputs(model):
    """Images, what the network is told of the time, [labels], and its outputs in float64."""
    import torch

    rng = np.random.RandomState(1)
    config = model.config
    shape = (3, config.in_channels, config.sample_size, config.sample_size)
    case = {"x": rng.normal(0.3, 1.5, shape).astype(np.float32)}
    fourier = config.time_embedding_type == "fourier"
    case["time"] = np.array([0.013, 2.0, 1100.0], np.float32) if fourier else np.array([0, 17, 999])
    if config.num_class_embeds:
        case["label"] = np.array([0, 4, 2])
    sample, time, *label = (torch.from_numpy(value) for value in case.values())
    time = time.double() if fourier else time
    with torch.no_grad():
        output = model.double()(sample.double(), time, *label).sample
    return case | {"output": output.numpy().astype(np.float32)}


def write_kept():
    """The files beside the tests."""
    for name in STORED + DRAWN:
        model, folder = build(name), KEPT / name
        shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        with tempfile.TemporaryDirectory() as temporary:
            save_pipeline(model, temporary)
            if name in DRAWN:
                pathlib.Path(temporary, "unet", WEIGHTS).unlink()
            shutil.copytree(temporary, folder, dirs_exist_ok=True)
        np.savez_compressed(
            folder / "case.npz",
            names=list(shapes),
            shapes=[" ".join(map(str, shape)) for shape in shapes.values()],
            **inputs_and_outputs(model),
        )


if __name__ == "__main__":
    write_kept()
