"""Tests of published models on the command line: ``train``, ``import``, ``export`` and back."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from in_process import contents, refusal, succeed
from safetensors import safe_open
from safetensors.numpy import load_file

from experiments import published as published_experiments
from experiments.command_line.exporting import published_state
from experiments.configuration import Named, find
from experiments.published import model_of, published_experiment
from experiments.runs import open_run
from sde_jax.data.array_source import ArraySource
from sde_jax.data.source import DataSpec
from sde_jax.interop.score_sde import PublishedModel, load_checkpoint, published_names
from sde_jax.training.devices import data_mesh

MODEL = PublishedModel(
    dataset="tiny",
    image_size=8,
    num_channels=1,
    nf=8,
    ch_mult=(1,),
    num_res_blocks=1,
    attn_resolutions=(),
    num_scales=30,
    warmup=3,
    lr=1e-2,
    batch_size=16,
    n_iters=4,
    snapshot_freq_for_preemption=2,
)
UNEVALUATED = ("--training.eval-every", 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiny(DataSpec):
    def load(self):
        images = np.random.default_rng(0).integers(0, 256, (48, 8, 8, 1), np.uint8)
        return ArraySource({"train": images[:40], "test": images[40:]}, dequantize=False)


@pytest.fixture
def model_file(tmp_path, monkeypatch):
    """The file of a small model, of data without a folder."""
    monkeypatch.setattr(published_experiments, "data_spec", lambda model: Tiny())
    path = tmp_path / "small.json"
    path.write_text(MODEL.to_json())
    return path


def stored(run):
    return published_state(open_run(run, data_mesh()))


@pytest.mark.parametrize("name", published_names())
def test_every_published_model_is_an_experiment(name):
    named = find(name)
    assert named.name == name
    assert Named.from_config(json.loads(json.dumps(named.config()))) == named
    model = named.model
    assert model_of(named.experiment, model.image_shape).score_model == model.score_model


def test_a_dry_run_prints_a_published_model():
    results = succeed("train", "vp/cifar10_ddpmpp_continuous", "--dry-run")
    assert results["parameters"] == 61_804_419
    assert results["model"]["nf"] == results["experiment"]["network"]["channels"] == 128


def test_a_run_goes_through_the_published_format_and_on_as_if_it_had_not(tmp_path, model_file):
    whole, half = tmp_path / "whole", tmp_path / "half"
    succeed("train", model_file, "--workdir", whole, *UNEVALUATED)
    succeed("train", model_file, "--workdir", half, *UNEVALUATED, "--training.steps", 2)
    exported = succeed(
        "export", half, "--format", "score-sde", "--out", tmp_path / "checkpoint_2.pth"
    )
    assert PublishedModel.from_json((tmp_path / "checkpoint_2.json").read_text()) == MODEL
    (tmp_path / "again").mkdir()
    described = tmp_path / "again" / "small.json"
    (tmp_path / "checkpoint_2.json").rename(described)
    other = tmp_path / "other"
    results = succeed("import", exported["out"], "--model", described, "--workdir", other)
    assert results["step"] == 2
    jax.tree.map(np.testing.assert_array_equal, stored(half), stored(other))
    succeed("train", described, "--workdir", other, "--resume")
    jax.tree.map(np.testing.assert_array_equal, stored(whole), stored(other))


def test_an_imported_run_is_sampled_and_measured(tmp_path, model_file):
    run = tmp_path / "run"
    succeed("train", model_file, "--workdir", run, *UNEVALUATED, "--training.steps", 1)
    succeed("export", run, "--format", "score-sde", "--out", tmp_path / "file.pth")
    imported = tmp_path / "imported"
    succeed("import", tmp_path / "file.pth", "--model", model_file, "--workdir", imported)
    drawn = succeed("sample", imported, "--count", 2)
    assert (drawn["sampler"], drawn["nfe"]) == ("published", MODEL.num_scales)
    other = succeed("sample", imported, "--count", 2, "--sampler", "em", "--steps", 3)
    assert other["nfe"] == 4
    measured = succeed("likelihood", imported, "--count", 2, "--tolerance", 0.1)
    assert measured["dimensions"] == 64


def test_safetensors_hold_the_averaged_weights_and_the_configuration(tmp_path, digits_run):
    results = succeed("export", digits_run, "--format", "safetensors", "--out", tmp_path / "w")
    assert results["out"] == str(tmp_path / "w.safetensors")
    tensors = load_file(results["out"])
    averaged = stored(digits_run).ema_params
    np.testing.assert_array_equal(tensors["Conv_0.kernel"], averaged["Conv_0"]["kernel"])
    assert len(tensors) == len(jax.tree.leaves(averaged))
    with safe_open(results["out"], "numpy") as file:
        config = json.loads(file.metadata()["sde_jax"])
    assert config["name"] == "quickstart"
    assert config["experiment"]["network"]["channels"] == 8


def test_our_own_runs_are_described_in_published_terms_where_they_can_be(
    tmp_path, digits_run, ring_run
):
    results = succeed("export", digits_run, "--format", "score-sde", "--out", tmp_path / "w.pth")
    model = PublishedModel.from_json((tmp_path / "w.json").read_text())
    assert (model.sde, model.image_size, model.num_channels) == ("vpsde", 8, 1)
    score = open_run(digits_run, data_mesh()).score
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    theirs = load_checkpoint(results["out"], model)
    np.testing.assert_array_equal(theirs(x, 0.3), score(x, 0.3))
    line = refusal("export", ring_run, "--format", "score-sde", "--out", tmp_path / "r.pth")
    assert "--format score-sde does not apply to ring: only networks for images" in line


def test_what_cannot_be_imported_leaves_nothing(tmp_path, model_file, digits_run):
    succeed("export", digits_run, "--format", "score-sde", "--out", tmp_path / "w.pth")
    before = contents(tmp_path)
    out = ["--workdir", tmp_path / "run"]
    for args, complaint in [
        ([tmp_path / "none.pth", "--model", model_file], "none.pth"),
        ([model_file, "--model", model_file], "small.json: "),
        ([tmp_path / "w.pth", "--model", "vp/cifar10"], "no published model is called"),
        ([tmp_path / "w.pth", "--model", tmp_path / "m.json"], "m.json cannot be read"),
        ([tmp_path / "w.pth", "--model", "vp/ddpm/cifar10"], "it does not fit the model"),
    ]:
        assert complaint in refusal("import", *args, *out)[:3000]
    assert contents(tmp_path) == before
    line = refusal(
        "import", tmp_path / "w.pth", "--model", tmp_path / "w.json", "--workdir", digits_run
    )
    assert "holds a run already" in line


def test_only_published_models_have_a_sampler_of_their_own(tmp_path, digits_run):
    assert "`sampler` must not be published: the run is of no published model" in refusal(
        "sample", digits_run, "--sampler", "published"
    )


def test_weight_decay_is_refused():
    with pytest.raises(ValueError, match="`weight_decay` must be 0: got weight_decay=0.1"):
        published_experiment(dataclasses.replace(MODEL, weight_decay=0.1))
