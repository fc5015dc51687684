"""The U-Net against arrays that the published implementation computed."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.nets.ncsnpp import NCSNpp, NCSNppSpec

LEAVES = {"NIN_0": "Dense_0", "NIN_1": "Dense_1", "NIN_2": "Dense_2", "NIN_3": "Dense_3"} | {
    "Conv_2": "Dense_1"
}


def spec_of(model):
    """The spec of a published configuration's `model` section."""
    return NCSNppSpec(
        channels=model["nf"],
        multipliers=tuple(model["ch_mult"]),
        blocks_per_level=model["num_res_blocks"],
        attention_resolutions=tuple(model["attn_resolutions"]),
        dropout=model["dropout"],
        embedding=model["embedding_type"],
        fourier_scale=model["fourier_scale"],
        skip_rescale=model["skip_rescale"],
    )


def parameters_of(state):
    """Our parameter tree from a flat `all_modules.<index>.[<layer>.]<leaf>` dictionary."""
    modules = {}
    for name, value in state.items():
        _, index, *path = name.split(".")
        modules.setdefault(int(index), {})[tuple(path)] = value
    tree, counts = {}, {}
    for _, tensors in sorted(modules.items()):
        kind = module_kind(tensors)
        module = f"{kind}_{counts.setdefault(kind, 0)}"
        counts[kind] += 1
        for path, value in tensors.items():
            layers = [LEAVES.get(layer, layer) for layer in path[:-1]]
            node = tree.setdefault(module, {})
            for layer in layers:
                node = node.setdefault(layer, {})
            leaf, value = our_leaf(path[-1], value)
            node[leaf] = jnp.asarray(value)
    return tree


def module_kind(tensors):
    if ("Conv_1", "weight") in tensors:
        return "ResidualBlock"
    if ("NIN_3", "W") in tensors:
        return "AttentionBlock"
    if ("W",) in tensors:
        return "GaussianFourierFeatures"
    return {1: "GroupNorm", 2: "Dense", 4: "Conv"}[tensors[("weight",)].ndim]


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


def relative_error(value, truth):
    return np.abs(value - truth).max() / np.abs(truth).max()


@pytest.mark.parametrize(
    "name",
    [
        "vp_ddpmpp",
        "subvp_ddpmpp",
        "tiny_vp_ddpmpp",
        "grid/biggan_fir0_none_positional_sbs0",
        "grid/biggan_fir0_none_fourier_sbs0",
    ],
)
def test_output_equals_the_published_networks(shared, name):
    with np.load(shared / "parity" / "nets" / f"{name}.npz") as stored:
        file = dict(stored)
    meta = json.loads(str(file["meta"]))
    prefix = "param/all_modules."
    params = parameters_of(
        {key.removeprefix("param/"): file[key] for key in file if key.startswith(prefix)}
    )
    network = NCSNpp(spec_of(meta["model"]), precision="highest")
    apply = jax.jit(lambda x, time: network.apply({"params": params}, x, time))
    for case in "AB":
        x, time = file[f"{case}/x"].transpose(0, 2, 3, 1), file[f"{case}/labels"]
        if not meta["data"]["centered"]:
            x = 2 * x - 1
        if meta["model"]["embedding_type"] == "fourier":
            time = np.log(time)
        output = np.asarray(apply(x, time)).transpose(0, 3, 1, 2)
        assert output.dtype == np.float32
        truth = file[f"{case}/out_f64"]
        print(name, case, relative_error(output, truth), meta["rel_err_f32_vs_f64"][case])
        assert relative_error(output, file[f"{case}/out"]) <= 1e-4
        assert relative_error(output, truth) <= 3 * meta["rel_err_f32_vs_f64"][case]


@pytest.mark.parametrize("blocks, parameters", [(4, 61_804_419), (8, 106_632_579)])
def test_parameters_of_the_published_networks(blocks, parameters, key):
    network = NCSNpp(NCSNppSpec(blocks_per_level=blocks))
    shapes = jax.eval_shape(network.init, key, jnp.zeros((1, 32, 32, 3)), jnp.zeros(1))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == parameters
