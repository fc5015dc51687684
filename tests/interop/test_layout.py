"""Names, shapes and order of the tensors in published files."""

import dataclasses
import functools
import json
import math
import pathlib
import random
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from checkpoints import model_of, names_of, shape_of
from flax.traverse_util import flatten_dict
from published import read

from sde_jax.interop.configurations import published, published_names
from sde_jax.interop.layout import layout_of, published_classes
from sde_jax.interop.modules import modules
from sde_jax.interop.published_model import PublishedModel

FEW = ("vp/ddpm/cifar10_continuous", "ve/cifar10_ncsnpp_continuous")
few_and_all = pytest.mark.parametrize(
    "names",
    [FEW, pytest.param(published_names(), marks=pytest.mark.slow)],
    ids=["few", "all"],
)
KEPT = pathlib.Path(__file__).parents[1] / "data" / "parity" / "nets"


@functools.cache
def layout_of_shape(model):
    return layout_of(model)


def published_layout(name):
    return layout_of_shape(shape_of(published(name)))


def name_in_listings(name):
    return name.replace("/", "_") + ".py.txt"


def torch_listing(path):
    """Names and shapes: in each line a number, a class, and ``name[shape], ...``."""
    for line in path.read_text().splitlines():
        index, *rest = line.split("\t")
        if len(rest) == 2:
            for name, shape in re.findall(r"([\w.]+)\[([\d, ]+)\]", rest[1]):
                yield f"all_modules.{index}.{name}", tuple(map(int, shape.split(",")))


def flax_listing(path):
    """Names and shapes: in each line ``path  (shape)``."""
    for name, shape in re.findall(r"^(\S+)\s+\(([\d, ]+)\)$", path.read_text(), re.MULTILINE):
        yield name, tuple(map(int, shape.strip(",").split(",")))


@few_and_all
def test_pytorch_listings(shared, names):
    compared = 0
    for name in names:
        path = shared / "checkpoints" / name_in_listings(name)
        if path.is_file():
            ours = [(t.torch_name, t.torch_shape) for t in published_layout(name)]
            assert ours == list(torch_listing(path)), name
            compared += 1
    assert compared == min(len(names), 15)


@few_and_all
def test_flax_listings(shared, names):
    compared = 0
    for name in names:
        path = shared / "checkpoints" / f"jax_{name_in_listings(name)}"
        if path.is_file():
            ours = {"/".join(t.flax_path): t.flax_shape for t in published_layout(name)}
            assert ours == dict(flax_listing(path)), name
            compared += 1
    assert compared == min(len(names), 4)


@few_and_all
def test_published_counts(shared, names):
    configurations = json.loads((shared / "checkpoints" / "configurations.json").read_text())
    compared = 0
    for name in names:
        counts = configurations[name]["counts"]
        if "parameters" in counts:
            layout = published_layout(name)
            sizes = [math.prod(tensor.shape) for tensor in layout]
            trained = [math.prod(tensor.shape) for tensor in layout if tensor.trainable]
            count = len(listed_classes(published(name)))
            ours = sum(sizes), sum(trained), len(layout), count
            keys = ("parameters", "trainable", "tensors", "modules")
            assert ours == tuple(counts[key] for key in keys), name
            compared += 1
    assert compared == min(len(names), 27)


def listed_classes(model):
    """PyTorch's classes of the modules in its list."""
    spec = model.network_spec
    classes = published_classes(spec)
    listed = (module.kind for module in modules(spec, model.image_size) if module.listed)
    return [classes.get(kind, kind) for kind in listed]


def hold_to_order(path):
    arrays, meta = read(path)
    model = model_of(meta["data"], meta["model"])
    layout = layout_of(model)
    names, trained = names_of(arrays)
    assert meta.get("parameters_order", names) == names
    assert [tensor.torch_name for tensor in layout] == names
    assert [tensor.torch_name for tensor in layout if tensor.trainable] == trained
    assert listed_classes(model) == [row["type"] for row in meta["trace_rows"]]


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.npz")), ids=lambda path: path.stem)
def test_order_of_kept_networks(path):
    hold_to_order(path)


@pytest.mark.slow("test_every_parameter_has_its_place_in_the_order_of_calls")
def test_order_of_other_networks(shared):
    paths = list((shared / "parity" / "nets" / "extra").glob("*.npz"))
    assert len(paths) >= 5
    for path in [*paths, shared / "parity" / "nets" / "vp_ddpm.npz"]:
        hold_to_order(path)


OPTIONS = {
    "name": ["ncsnpp", "ncsnpp", "ncsnpp", "ddpm"],
    "ch_mult": [(1, 2), (1, 1, 2), (2,)],
    "num_res_blocks": [1, 2],
    "attn_resolutions": [(), (16,), (8, 4)],
    "num_channels": [1, 3],
    "resamp_with_conv": [True, False],
    "conditional": [True, False],
    "fir": [True, False],
    "resblock_type": ["biggan", "ddpm"],
    "progressive": ["none", "output_skip", "residual"],
    "progressive_input": ["none", "input_skip", "residual"],
    "progressive_combine": ["sum", "cat"],
    "embedding_type": ["fourier", "positional"],
}


def calls_of(model):
    """The tree of parameters, and the modules at the top that have any, in the order of calls."""
    names = []

    def record(call, args, kwargs, context):
        if context.method_name == "__call__" and len(context.module.path) == 1:
            names.append(context.module.path[0])
        return call(*args, **kwargs)

    network, size = model.network_spec.build(), model.image_size
    x = jnp.zeros((1, size, size, model.num_channels))
    with nn.intercept_methods(record):
        params = jax.eval_shape(network.init, jax.random.key(0), x, jnp.zeros(1))["params"]
    return params, [name for name in names if name in params]


@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))]
)
def test_every_parameter_has_its_place_in_the_order_of_calls(seed):
    chance = random.Random(seed)
    settings = {field: chance.choice(choices) for field, choices in OPTIONS.items()}
    model = PublishedModel(nf=32, image_size=16, **settings)
    params, calls = calls_of(model)
    layout = [tensor for tensor in layout_of(model) if tensor.path is not None]
    assert {t.path: t.shape for t in layout} == {
        path: leaf.shape for path, leaf in flatten_dict(params).items()
    }
    assert list(dict.fromkeys(tensor.path[0] for tensor in layout)) == calls
    for tensor in layout:
        assert math.prod(tensor.torch_shape) == math.prod(tensor.shape)
    for names in ([t.torch_name for t in layout], [t.flax_path for t in layout]):
        assert len(set(names)) == len(layout)


def test_resampling_without_parameters_is_numbered():
    """In PyTorch where it is a block's, in Flax the pyramids', too: one class there."""
    model = PublishedModel(
        nf=8,
        image_size=16,
        ch_mult=(1, 1, 1),
        num_res_blocks=1,
        attn_resolutions=(),
        resblock_type="ddpm",
        progressive_input="input_skip",
        progressive="output_skip",
        fir=True,
    )

    def names(model, kinds):
        return [
            ("/".join(tensor.path[:-1]), tensor.torch_name, "/".join(tensor.flax_path))
            for tensor in layout_of(model)
            if tensor.path[-1] == "kernel" and tensor.path[0].startswith(kinds)
        ]

    assert names(model, ("Downsample", "Upsample", "Combine")) == [
        ("Downsample_0/Conv_0", "all_modules.4.Conv2d_0.weight", "Downsample_0/Conv2d_0/weight"),
        ("Combine_0/Dense_0", "all_modules.5.Conv_0.weight", "Combine_0/Conv_0/kernel"),
        ("Downsample_1/Conv_0", "all_modules.7.Conv2d_0.weight", "Downsample_2/Conv2d_0/weight"),
        ("Combine_1/Dense_0", "all_modules.8.Conv_0.weight", "Combine_1/Conv_0/kernel"),
        ("Upsample_0/Conv_0", "all_modules.17.Conv2d_0.weight", "Upsample_0/Conv2d_0/weight"),
        ("Upsample_1/Conv_0", "all_modules.22.Conv2d_0.weight", "Upsample_2/Conv2d_0/weight"),
    ]
    model = dataclasses.replace(model, resamp_with_conv=False, progressive_input="residual")
    assert names(model, ("Downsample", "Upsample")) == [
        ("Downsample_0/Conv_0", "all_modules.5.Conv2d_0.weight", "Downsample_1/Conv2d_0/weight"),
        ("Downsample_1/Conv_0", "all_modules.8.Conv2d_0.weight", "Downsample_3/Conv2d_0/weight"),
    ]
