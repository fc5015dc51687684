"""Reads `config.json` of a `UNet2DModel` of diffusers as DDPM or NCSN++."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.nets.ddpm import GROUPS, DDPMSpec
from sde_jax.nets.ncsnpp import NCSNppSpec

__all__ = [
    "Rules",
    "Settings",
    "attending_levels",
    "broken_rules",
    "has_skips",
    "image_size",
    "network_spec",
    "read_network_settings",
    "read_settings",
]

Settings = Mapping[str, Any]
Rules = Mapping[str, tuple[bool, str]]

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

MIRRORED = {
    "DownBlock2D": "UpBlock2D",
    "AttnDownBlock2D": "AttnUpBlock2D",
    "SkipDownBlock2D": "SkipUpBlock2D",
    "AttnSkipDownBlock2D": "AttnSkipUpBlock2D",
}
"""The levels on the way up by the corresponding levels on the way down."""


def read_settings(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
      CheckpointFileError: if the file contains none.
      OSError: if the file does not exist.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
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
    kind = stated.get("_class_name", "UNet2DModel")
    problems = broken_rules(
        {"_class_name": kind}, {"_class_name": (kind == "UNet2DModel", "UNet2DModel")}
    )
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


def level_rules(settings: Settings) -> Rules:
    """Returns the rules for the levels, which the other rules presuppose."""
    down, up = settings["down_block_types"], settings["up_block_types"]
    widths = settings["block_out_channels"]
    known = all(kind in MIRRORED for kind in down) and len({"Skip" in kind for kind in down}) == 1
    return {
        "down_block_types": (
            known,
            "DownBlock2D and AttnDownBlock2D, or else SkipDownBlock2D and AttnSkipDownBlock2D",
        ),
        "up_block_types": (
            not known or up == [MIRRORED[kind] for kind in reversed(down)],
            "the mirror image of `down_block_types`",
        ),
        "block_out_channels": (
            len(widths) == len(down) and not any(width % widths[0] for width in widths),
            "a width for each level, a multiple of the first",
        ),
    }


def layer_rules(settings: Settings) -> Rules:
    """Returns the rules for the other settings."""
    widths, size = settings["block_out_channels"], settings["sample_size"]
    attends = any(attending_levels(settings))
    groups, of_attention = settings["norm_num_groups"], settings["attn_norm_num_groups"]
    rules = {
        "sample_size": (
            isinstance(size, int) or (size is None and not attends),
            "one number, which None leaves open if no level attends",
        ),
        "out_channels": (settings["out_channels"] == settings["in_channels"], "`in_channels`"),
        "time_embedding_dim": (
            settings["time_embedding_dim"] in (None, 4 * widths[0]),
            f"None, or {4 * widths[0]}",
        ),
        "mid_block_type": (settings["mid_block_type"] == "UNetMidBlock2D", "UNetMidBlock2D"),
        "act_fn": (settings["act_fn"] in ("silu", "swish"), "silu"),
        "attn_norm_num_groups": (of_attention in (None, groups), "None"),
        "resnet_time_scale_shift": (settings["resnet_time_scale_shift"] == "default", "default"),
        "add_attention": (settings["add_attention"], "True"),
        "class_embed_type": (settings["class_embed_type"] is None, "None"),
    }
    of_kind = ncsnpp_rules(settings) if has_skips(settings) else ddpm_rules(settings)
    return {**rules, **of_kind}


def ddpm_rules(settings: Settings) -> Rules:
    """Returns the rules for a network whose levels do not receive the image."""
    return {
        "time_embedding_type": (settings["time_embedding_type"] == "positional", "positional"),
        "freq_shift": (settings["freq_shift"] in (0, 1), "0 or 1"),
        "mid_block_scale_factor": (settings["mid_block_scale_factor"] == 1, "1"),
        "downsample_padding": (settings["downsample_padding"] in (0, 1), "0 or 1"),
        "downsample_type": (settings["downsample_type"] == "conv", "conv"),
        "upsample_type": (settings["upsample_type"] == "conv", "conv"),
        "norm_num_groups": (settings["norm_num_groups"] == GROUPS, str(GROUPS)),
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
    groups = {min(width // 4, 32) for width in (widths[0], widths[-1])}
    return {
        "time_embedding_type": (settings["time_embedding_type"] == "fourier", "fourier"),
        "in_channels": (settings["in_channels"] == 3, "3"),
        "mid_block_scale_factor": (
            math.isclose(settings["mid_block_scale_factor"], math.sqrt(2), rel_tol=1e-6),
            "the square root of 2",
        ),
        "attention_head_dim": (one_head, "None, for one head"),
        "block_out_channels": (
            min(attending, default=128) >= 128,
            "128 and more where a level attends",
        ),
        "norm_num_groups": (
            settings["norm_num_groups"] is None or {settings["norm_num_groups"]} == groups,
            "None",
        ),
        "norm_eps": (settings["norm_eps"] == 1e-6, "1e-06"),
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
