"""Checkpoints in the published formats, made of stored networks by their published names."""

import collections
import dataclasses
import functools

import numpy as np

from sde_jax.interop.published_model import PublishedModel

FIELDS = {field.name for field in dataclasses.fields(PublishedModel)}
WITHOUT_MEANING = {
    *("attention_type", "conv_size", "sigma_begin", "amsgrad", "snapshot_sampling"),
}
"""Settings that change nothing in the published code."""

SHAPING = (
    *("name", "nf", "ch_mult", "num_res_blocks", "attn_resolutions", "image_size", "num_channels"),
    *("resamp_with_conv", "conditional", "fir", "resblock_type", "progressive"),
    *("progressive_input", "progressive_combine", "embedding_type"),
)
"""The settings that tensors depend on."""


def model_of(*sections, **changes):
    """The model of the sections of a published configuration."""
    settings = {key: value for section in sections for key, value in section.items()} | changes
    assert settings.keys() - FIELDS <= WITHOUT_MEANING
    return PublishedModel(**{key: value for key, value in settings.items() if key in FIELDS})


def shape_of(model):
    """A model with the same tensors, and defaults for the rest."""
    return PublishedModel(**{field: getattr(model, field) for field in SHAPING})


def names_of(arrays):
    """The parameters of a stored network, and those that are trained, in their order."""
    names = [key.removeprefix("param/") for key in arrays if key.startswith("param/all_modules.")]
    return names, [name for name in names if name != "all_modules.0.W"]


def noise_levels(model):
    """Those of a `model` section, down from the highest."""
    return np.geomspace(model["sigma_max"], model["sigma_min"], model["num_scales"])


def torch_content(arrays, meta, *, prefix="module.", step=7, ema=lambda value: -value):
    """A checkpoint of PyTorch; averages and moments are functions of the parameters."""
    names, trained = names_of(arrays)
    named = {name: arrays[f"param/{name}"] for name in names}
    state = {
        place: {
            "step": np.asarray(step, np.float32),
            "exp_avg": 2 * named[name],
            "exp_avg_sq": named[name] ** 2,
        }
        for place, name in enumerate(names)
        if name in trained and is_used(name, meta)
    }
    return {
        "optimizer": {"state": state, "param_groups": [{"params": [*range(len(names))]}]},
        "model": collections.OrderedDict(
            {prefix + "sigmas": noise_levels(meta["model"])}
            | {prefix + name: value for name, value in named.items()}
        ),
        "ema": {
            "decay": 0.999,
            "num_updates": step,
            "shadow_params": [ema(named[name]) for name in trained],
        },
        "step": step,
    }


def is_used(name, meta):
    """Whether anything depends on it: not on the layers of the time in unconditional blocks."""
    return meta["model"]["conditional"] or ".Dense_0." not in name


FLAX_LEAVES = {
    "GroupNorm": {"weight": "scale"},
    "Conv": {"weight": "kernel"},
    "Dense": {"weight": "kernel"},
}
FLAX_CLASSES = {"Linear": "Dense", "Conv2d": "Conv"}


def flax_content(arrays, meta, *, step=7, ema=lambda value: -value, expand=False):
    """A checkpoint of Flax of the same network, group normalization with more axes if `expand`."""
    names, _ = names_of(arrays)
    paths = flax_paths([name for name in names if is_used(name, meta)], meta)
    params = {
        path: flax_array(path, arrays[f"param/{name}"], expand) for path, name in paths.items()
    }
    moments = {
        (*path, key): function(value)
        for path, value in params.items()
        for key, function in {"grad_ema": lambda x: 2 * x, "grad_sq_ema": np.square}.items()
    }
    return {
        "step": np.int32(step),
        "optimizer": {
            "target": nested(params),
            "state": {"step": np.int32(step), "param_states": nested(moments)},
        },
        "lr": 2e-4,
        "model_state": {},
        "ema_rate": 0.999,
        "params_ema": nested({p: v if "Fourier" in p[0] else ema(v) for p, v in params.items()}),
        "rng": np.zeros(2, np.uint32),
    }


def flax_paths(names, meta):
    """Their paths in Flax: modules are numbered by class, in the order of their calls."""
    numbered, counts = {}, collections.Counter()
    for row in meta["trace_rows"]:
        kind = FLAX_CLASSES.get(row["type"], row["type"])
        numbered[row["i"]] = f"{kind}_{counts[kind]}"
        counts[kind] += 1
    paths = {}
    for name in names:
        _, index, *layers, leaf = name.split(".")
        path = (numbered[int(index)], *layers)
        kind = path[-1].rpartition("_")[0]
        paths[(*path, FLAX_LEAVES.get(kind, {}).get(leaf, leaf))] = name
    return paths


def flax_array(path, value, expand):
    if value.ndim == 4:
        return np.ascontiguousarray(value.transpose(2, 3, 1, 0))
    if value.ndim == 2 and path[-1] == "kernel":
        return np.ascontiguousarray(value.T)
    return value.reshape(1, 1, 1, -1) if expand and "GroupNorm" in path[-2] else value


def nested(flat):
    """Nested dicts of the leaves by their paths."""
    tree = {}
    for (*outer, last), value in flat.items():
        functools.reduce(lambda node, key: node.setdefault(key, {}), outer, tree)[last] = value
    return tree
