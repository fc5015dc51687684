"""Files and scores against what the published implementation saved and computed."""

import json

import jax
import numpy as np
import pytest
from checkpoints import model_of, torch_content
from published import parameters_of, read, relative_error

from sde_jax.interop.score_sde import load_checkpoint, read_checkpoint, save_checkpoint
from sde_jax.interop.torch_file import read_torch_file, write_torch_file


@pytest.fixture
def published_file(shared):
    """A checkpoint that the published code saved, its model, and what the networks return."""
    with np.load(shared / "parity" / "ckpt" / "tiny_vp_ddpmpp.npz") as stored:
        arrays = dict(stored)
    config = json.loads(str(arrays.pop("meta")))["config"]
    overrides = {"warmup": 100, "lr": 1e-3}
    model = model_of(config["data"], config["model"], config["training"], **overrides)
    return shared / "parity" / "tiny_vp_ddpmpp.pth", model, arrays


def images(x):
    """NCHW to NHWC."""
    return x.transpose(0, 2, 3, 1)


def test_networks_of_the_published_file(published_file):
    path, model, arrays = published_file
    network = load_checkpoint(path, model).model.network.clone(precision="highest")
    apply = jax.jit(network.apply)
    for weights, key in (("ema", "out_ema"), ("raw", "out_model")):
        params = load_checkpoint(path, model, weights).params
        output = apply({"params": params}, images(arrays["x"]), arrays["labels"])
        assert relative_error(np.asarray(output), images(arrays[key])) <= 1e-5


def test_averages_of_the_published_file(published_file, shared):
    path, model, _ = published_file
    params = read_checkpoint(path, model).ema_params
    jax.tree.map(
        np.testing.assert_array_equal,
        params,
        parameters_of(*read(shared / "parity" / "nets" / "tiny_vp_ddpmpp.npz")),
    )


def assert_same(actual, expected):
    """Equal, and tensors of equal type and bytes, in equal order."""
    if isinstance(expected, dict):
        assert [type(actual), *actual] == [type(expected), *expected]
        for key, value in expected.items():
            assert_same(actual[key], value)
    elif isinstance(expected, list):
        assert len(actual) == len(expected)
        for pair in zip(actual, expected, strict=True):
            assert_same(*pair)
    elif isinstance(expected, np.ndarray):
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
        assert actual.tobytes() == expected.tobytes()
    else:
        assert actual == expected


def test_the_published_file_comes_back_to_the_bit(published_file, tmp_path):
    path, model, _ = published_file
    save_checkpoint(tmp_path / "new.pth", model, read_checkpoint(path, model))
    assert_same(read_torch_file(tmp_path / "new.pth"), read_torch_file(path))


@pytest.mark.slow("test_networks_of_the_published_file")
@pytest.mark.parametrize(
    "name, key",
    [
        ("tiny_vp_ddpmpp", "vp_cont"),
        ("tiny_vp_ddpmpp", "subvp_cont"),
        ("vp_ddpm_disc", "vp_disc"),
        ("ve_ncsnpp", "ve_cont"),
        ("ve_ncsnpp_disc", "ve_disc"),
    ],
)
def test_scores(shared, tmp_path, name, key):
    """To 1e-4 of each example; below t = .01 the published deviation itself is off by 1e-3."""
    arrays, meta = read(shared / "parity" / "nets" / f"{name}.npz")
    sde, kind = key.split("_")
    changes = {"sde": f"{sde}sde", "continuous": kind == "cont"}
    model = model_of(meta["data"], meta["model"], meta["training"], **changes)
    content = torch_content(arrays, meta, ema=lambda value: value)
    write_torch_file(tmp_path / "checkpoint_1.pth", content)
    score = load_checkpoint(tmp_path / "checkpoint_1.pth", model)
    evaluate = jax.jit(lambda score, x, t: score(x, t))
    for case in "AB":
        x, t = images(arrays[f"{case}/x"]), arrays[f"{case}/t"]
        ours, theirs = np.asarray(evaluate(score, x, t)), images(arrays[f"{case}/score/{key}"])
        late = t >= 0.01
        assert relative_error(ours[late], theirs[late], by_example=True) <= 1e-4
        assert relative_error(ours, theirs, by_example=True) <= 1e-3
