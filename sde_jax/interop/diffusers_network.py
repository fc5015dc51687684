"""Reads `config.json` of a `UNet2DModel` of diffusers as DDPM or NCSN++."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.json_files import read_json
from sde_jax.nets.ddpm import GROUPS, DDPMSpec
from sde_jax.nets.ncsnpp import NCSNppSpec

Settings = Mapping[str, Any]
Rules = Mapping[str, tuple[bool, str]]
Permitted = Mapping[str, Sequence[Any]]

DEFAULTS: Settings = {
    "sample_size": None,
    "in_channels": 3,
    "out_channels": 3,
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2D",
    "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "act_fn": "silu",
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
    "class_embed_type": None,
    "num_class_embeds": None,
    "num_train_timesteps": None,
}
"""The defaults of the settings of a `UNet2DModel`."""

LAYERS: Permitted = {
    "mid_block_type": ["UNetMidBlock2D"],
    "act_fn": ["silu", "swish"],
    "resnet_time_scale_shift": ["default"],
    "add_attention": [True],
    "class_embed_type": [None],
}
DDPM: Permitted = {
    "time_embedding_type": ["positional"],
    "freq_shift": [0, 1],
    "mid_block_scale_factor": [1],
    "downsample_padding": [0, 1],
    "downsample_type": ["conv"],
    "upsample_type": ["conv"],
    "norm_num_groups": [GROUPS],
}
NCSNPP: Permitted = {"time_embedding_type": ["fourier"], "in_channels": [3], "norm_eps": [1e-6]}
"""The supported values of settings: of all networks, and of those of a kind."""


def read_settings(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
      CheckpointFileError: if the file contains none.
      OSError: if the file does not exist.
    """
    try:
        settings = read_json(path)
    except ValueError as error:
        raise CheckpointFileError(path, f"it is no JSON file: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointFileError(path, "it holds no JSON object")
    return settings


def read_network_settings(path: Path) -> Settings:
    """Returns supported settings of a network, completed by the defaults of `UNet2DModel`.

    Raises:
      CheckpointFileError: if a setting is not supported; it names each.
      OSError: if the file does not exist.
    """
    stated = read_settings(path)
    settings = {**DEFAULTS, **stated}
    for way in ("down_block_types", "up_block_types"):
        settings[way] = [kind.removeprefix("UNetRes") for kind in settings[way]]
    settings.setdefault("_class_name", "UNet2DModel")
    problems = broken_rules(settings, choices(settings, {"_class_name": ["UNet2DModel"]}))
    problems = problems or unknown(stated) + broken_rules(settings, level_rules(settings))
    problems = problems or broken_rules(settings, layer_rules(settings))
    if problems:
        raise CheckpointFileError(path, problems)
    return settings


def unknown(stated: Settings) -> list[str]:
    """Returns a problem for each setting that no `UNet2DModel` has."""
    return [
        f"`{field}` is {value!r}: not known here"
        for field, value in stated.items()
        if field not in DEFAULTS and not field.startswith("_") and value is not None
    ]


def broken_rules(settings: Settings, rules: Rules) -> list[str]:
    """Returns a problem for each setting whose rule does not hold."""
    return [
        f"`{field}` is {settings[field]!r}: supported is {what}"
        for field, (holds, what) in rules.items()
        if not holds
    ]


def choices(settings: Settings, permitted: Permitted) -> Rules:
    """Returns the rules that settings have permitted values."""
    return {
        field: (settings[field] in values, " or ".join(map(str, values)))
        for field, values in permitted.items()
    }


def level_rules(settings: Settings) -> Rules:
    """Returns the rules for the levels, which the other rules presuppose."""
    down, up = settings["down_block_types"], settings["up_block_types"]
    widths = settings["block_out_channels"]
    families = {"DownBlock2D", "AttnDownBlock2D"}, {"SkipDownBlock2D", "AttnSkipDownBlock2D"}
    known = bool(down) and any({*down} <= family for family in families)
    mirrored = [kind.replace("Down", "Up") for kind in reversed(down)]
    return {
        "down_block_types": (
            known,
            "DownBlock2D and AttnDownBlock2D, or else SkipDownBlock2D and AttnSkipDownBlock2D",
        ),
        "up_block_types": (not known or up == mirrored, "the mirror image of `down_block_types`"),
        "block_out_channels": (
            len(widths) == len(down) and not any(width % widths[0] for width in widths),
            "a width for each level, a multiple of the first",
        ),
    }


def layer_rules(settings: Settings) -> Rules:
    """Returns the rules for the other settings."""
    size, width = settings["sample_size"], settings["block_out_channels"][0]
    open_size = size is None and not any(attending_levels(settings))
    others = {
        "out_channels": [settings["in_channels"]],
        "time_embedding_dim": [None, 4 * width],
        "attn_norm_num_groups": [None, settings["norm_num_groups"]],
    }
    return {
        "sample_size": (
            isinstance(size, int) or open_size,
            "one number, which None leaves open if no level attends",
        ),
        **choices(settings, {**others, **LAYERS}),
        **(ncsnpp_rules(settings) if has_skips(settings) else choices(settings, DDPM)),
    }


def ncsnpp_rules(settings: Settings) -> Rules:
    """Returns the rules for a network whose levels receive the image, in diffusers an RGB image.

    The number of groups is that of Song et al. 2021, a quarter of the channels but at most 32.
    Diffusers has 32 groups in the attention of a level, which is equal from 128 channels on.
    """
    widths, head = settings["block_out_channels"], settings["attention_head_dim"]
    attending = [
        width for width, yes in zip(widths, attending_levels(settings), strict=True) if yes
    ]
    one_head = head is None or all(width // head == 1 for width in (*attending, widths[-1]))
    scale, groups = settings["mid_block_scale_factor"], settings["norm_num_groups"]
    usual = {min(width // 4, 32) for width in (widths[0], widths[-1])}
    return {
        **choices(settings, NCSNPP),
        "mid_block_scale_factor": (
            math.isclose(scale, math.sqrt(2), rel_tol=1e-6),
            "the square root of 2",
        ),
        "attention_head_dim": (one_head, "None, for one head"),
        "block_out_channels": (
            min(attending, default=128) >= 128,
            "128 and more where a level attends",
        ),
        "norm_num_groups": (groups is None or {groups} == usual, "None"),
    }


def has_skips(settings: Settings) -> bool:
    """Returns whether every level receives the image and adds to the output, as in NCSN++."""
    return "Skip" in settings["down_block_types"][0]


def attending_levels(settings: Settings) -> list[bool]:
    """Returns whether each level has attention, from the highest resolution down."""
    return ["Attn" in kind for kind in settings["down_block_types"]]


def image_size(settings: Settings) -> int:
    """Returns height and width of the images, by default the least that can be halved."""
    return settings["sample_size"] or 2 ** (len(settings["block_out_channels"]) - 1)


def network_spec(settings: Settings) -> DDPMSpec | NCSNppSpec:
    """Returns the network with the same layers, except for the order of sines and cosines."""
    widths, size = settings["block_out_channels"], image_size(settings)
    common: dict[str, Any] = {
        "channels": widths[0],
        "multipliers": tuple(width // widths[0] for width in widths),
        "blocks_per_level": settings["layers_per_block"],
        "attention_resolutions": tuple(
            size >> level for level, yes in enumerate(attending_levels(settings)) if yes
        ),
        "dropout": settings["dropout"],
        "classes": settings["num_class_embeds"],
        "centered": not settings["center_input_sample"],
    }
    if has_skips(settings):
        return NCSNppSpec(
            **common,
            embedding="fourier",
            resampling_filter=(1, 3, 3, 1),
            progressive_input="input_skip",
            progressive_output="output_skip",
            scale_by_sigma=True,
        )
    # The frequencies 10000^(-k / (half - shift)) are our max_period^(-k / (half - 1)).
    half = widths[0] // 2
    return DDPMSpec(
        **common,
        attending_up="every",
        head_channels=settings["attention_head_dim"],
        pad_every_side=settings["downsample_padding"] == 1,
        max_period=10_000.0 ** ((half - 1) / (half - settings["freq_shift"])),
        norm_epsilon=settings["norm_eps"],
    )
