"""Networks of the published implementation as it stored them: their settings and their weights.

A file holds the `meta` data of one network (JSON), its flat state dictionary under
``param/all_modules.<index>.[<layer>.]<leaf>``, and cases A and B of inputs and outputs.
"""

import json

import numpy as np
from cases import SDES

from sde_jax.nets.ddpm import DDPMSpec
from sde_jax.nets.ncsnpp import NCSNppSpec
from sde_jax.score import (
    DescendingIndex,
    LogNoiseLevel,
    NetworkScore,
    NoisePrediction,
    ScaledTime,
    ScoreModel,
    ScorePrediction,
)
from sde_jax.sde import DDPMChain

READINGS = {
    "vp_cont": {"parameterization": NoisePrediction(), "time_condition": ScaledTime()},
    "subvp_cont": {"parameterization": NoisePrediction(), "time_condition": ScaledTime()},
    "ve_cont": {"parameterization": ScorePrediction(), "time_condition": LogNoiseLevel()},
    "vp_disc": {
        "parameterization": NoisePrediction(),
        "time_condition": ScaledTime(scale=999.0),
        "noise_levels": DDPMChain(levels=1000),
    },
    "ve_disc": {
        "parameterization": ScorePrediction(),
        "time_condition": DescendingIndex(levels=1000),
    },
}
"""How the published code reads a network under each process, with continuous or discrete times."""

CLASSES = {
    "GaussianFourierProjection": "GaussianFourierFeatures",
    "Linear": "Dense",
    "Conv2d": "Conv",
    "ResnetBlockBigGANpp": "ResidualBlock",
    "ResnetBlockDDPMpp": "ResidualBlock",
    "ResnetBlockDDPM": "ResidualBlock",
    "AttnBlockpp": "AttentionBlock",
    "AttnBlock": "AttentionBlock",
    "Combine": "Combine",
    "Downsample": "Downsample",
    "Upsample": "Upsample",
    "GroupNorm": "GroupNorm",
}
LAYERS = {
    "ResidualBlock": {"Dense_0": "time", "Conv_2": "shortcut", "NIN_0": "shortcut"},
    "AttentionBlock": {"NIN_0": "query", "NIN_1": "key", "NIN_2": "value", "NIN_3": "output"},
    "Combine": {"Conv_0": "Dense_0"},
    "Downsample": {"Conv2d_0": "Conv_0"},
    "Upsample": {"Conv2d_0": "Conv_0"},
}


def read(path):
    """The arrays of a file, and its `meta` data."""
    with np.load(path) as stored:
        arrays = dict(stored)
    return arrays, json.loads(str(arrays.pop("meta")))


def spec_of(model, data):
    """The spec of a published configuration's `model` and `data` sections."""
    common = {
        "channels": model["nf"],
        "multipliers": tuple(model["ch_mult"]),
        "blocks_per_level": model["num_res_blocks"],
        "attention_resolutions": tuple(model["attn_resolutions"]),
        "dropout": model["dropout"],
        "activation": model["nonlinearity"],
        "resample_with_convolution": model["resamp_with_conv"],
        "conditional": model["conditional"],
        "centered": data["centered"],
        "scale_by_sigma": model["scale_by_sigma"],
        "sigma_min": model["sigma_min"],
        "sigma_max": model["sigma_max"],
        "num_scales": model["num_scales"],
    }
    if model["name"] == "ddpm":
        return DDPMSpec(**common)
    return NCSNppSpec(
        **common,
        embedding=model["embedding_type"],
        fourier_scale=model.get("fourier_scale", 16),
        block=model["resblock_type"],
        resampling_filter=tuple(model["fir_kernel"]) if model["fir"] else None,
        progressive_input=model["progressive_input"],
        progressive_output=model["progressive"],
        combine=model["progressive_combine"],
        skip_rescale=model["skip_rescale"],
        init_scale=model["init_scale"],
    )


def score_of(arrays, meta, reading):
    """The score that a stored network is by one of the `READINGS`, its products exact."""
    network = spec_of(meta["model"], meta["data"]).build().clone(precision="highest")
    model = ScoreModel(network=network, sde=SDES[reading.split("_")[0]], **READINGS[reading])
    return NetworkScore(parameters_of(arrays, meta), model)


def parameters_of(arrays, meta):
    """Our parameter tree: the k-th module of a class is <Class>_k."""
    tree = {}
    for path, (_, value) in leaves_of(arrays, meta).items():
        node = tree
        for layer in path[:-1]:
            node = node.setdefault(layer, {})
        node[path[-1]] = value
    return tree


def leaves_of(arrays, meta):
    """The published name and our array of each leaf of our parameter tree."""
    classes = {row["i"]: CLASSES[row["type"]] for row in meta["trace_rows"]}
    modules = {}
    for name, value in arrays.items():
        if name.startswith("param/all_modules."):
            _, index, *path = name.split(".")
            modules.setdefault(int(index), []).append((path, value))
    leaves, counts = {}, {}
    for index, tensors in sorted(modules.items()):
        kind = classes[index]
        module = f"{kind}_{counts.setdefault(kind, 0)}"
        counts[kind] += 1
        for (*layers, leaf), value in tensors:
            if layers == ["Dense_0"] and not meta["model"]["conditional"]:
                continue  # stored, but never used
            name = ".".join(["all_modules", str(index), *layers, leaf])
            ours = [LAYERS.get(kind, {}).get(layer, layer) for layer in layers]
            leaf, value = our_leaf(leaf, value)
            leaves[(module, *ours, leaf)] = (name, value)
    return leaves


def our_leaf(name, value):
    if name in ("b", "bias"):
        return "bias", value
    if name == "W":
        return ("W" if value.ndim == 1 else "kernel"), value
    if value.ndim == 1:
        return "scale", value
    if value.shape[2:] == (1, 1):
        return "kernel", value[:, :, 0, 0].T
    return "kernel", value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T


def inputs_of(arrays, case, spec):
    """The images of a case in our layout, and its times in the units of the network."""
    time = arrays[f"{case}/labels"]
    if isinstance(spec, NCSNppSpec) and spec.embedding == "fourier":
        time = np.log(time)
    return arrays[f"{case}/x"].transpose(0, 2, 3, 1), time


def relative_error(value, truth, by_example=False):
    """Largest difference in units of the largest truth, of all or of the worst example."""
    axes = tuple(range(1, truth.ndim)) if by_example else None
    return (np.abs(value - truth).max(axis=axes) / np.abs(truth).max(axis=axes)).max()
