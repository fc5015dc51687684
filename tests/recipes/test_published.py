"""Tests of published models on the command line: ``train``, ``import``, ``export`` and back."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from in_process import contents, refusal, succeed
from tiny import untrained

from sde_jax.command_line.exporting import published_state
from sde_jax.command_line.importing import write_run
from sde_jax.data import ArraySource, DataSpec, Folder
from sde_jax.interop.configurations import published_names
from sde_jax.interop.published_model import PublishedModel
from sde_jax.interop.safetensors_file import read_safetensors
from sde_jax.interop.score_sde import load_checkpoint, load_weights, read_checkpoint
from sde_jax.interop.torch_file import read_torch_file
from sde_jax.recipes import published as published_experiments
from sde_jax.recipes.named import Named
from sde_jax.recipes.published import model_of, published_experiment
from sde_jax.runs.catalogue import find, find_model, of_model
from sde_jax.runs.trained_run import open_run

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiny(DataSpec):
    def load(self):
        images = np.random.default_rng(0).integers(0, 256, (48, 8, 8, 1), np.uint8)
        return ArraySource({"train": images[:40], "test": images[40:]}, dequantize=False)


class Runs(NamedTuple):
    model: Path
    """A small model's file."""
    half: Path
    """A run of it after two updates."""
    exported: Path
    """The same as a checkpoint of score_sde_pytorch."""
    imported: Path
    """A run made of that."""


def through_the_published_format(model, half, folder):
    """A run that is exported and imported again."""
    paths = Runs(model, half, folder / "two.pth", folder / "imported")
    succeed("export", half, "--format", "score-sde", "--out", paths.exported)
    arguments = ["--model", model, "--workdir", paths.imported]
    assert succeed("import", paths.exported, *arguments)["step"] == 2
    return paths


def any_state(learner):
    """A state after two updates, of which no two arrays are equal."""
    random = np.random.default_rng(0)

    def filled(leaf):
        if leaf.shape == ():
            return np.asarray(2 if np.issubdtype(leaf.dtype, np.integer) else 0, leaf.dtype)
        return random.normal(0, 0.1, leaf.shape).astype(leaf.dtype)

    return jax.tree.map(filled, jax.eval_shape(learner.init, jax.random.key(0)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of a small model, of data without a folder."""
    folder = tmp_path_factory.mktemp("published")
    model = folder / "small.json"
    model.write_text(MODEL.to_json())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published_experiments, "data_spec", lambda model: Tiny())
        named = of_model(*find_model(str(model)))
        write_run(folder / "half", named, any_state(named.experiment.learner((8, 8, 1))))
        yield through_the_published_format(model, folder / "half", folder)


def stored(run):
    return published_state(open_run(run))


@pytest.mark.parametrize("name", published_names())
def test_every_published_model_is_an_experiment(name):
    named = find(name)
    assert named.name == name
    assert Named.from_config(json.loads(json.dumps(named.config()))) == named
    model = named.model
    assert model_of(named.experiment, model.image_shape).score_model == model.score_model


@pytest.mark.parametrize("name", published_names())
def test_data_of_published_models_have_their_size_before_they_are_read(name):
    named = find(name)
    data = named.experiment.data
    assert (data.layout().shape, data.fit) == (named.model.image_shape, "crop")


def test_data_are_cropped_and_split_as_their_sets_ask_for():
    faces = find("ve/celeba_ncsnpp").experiment.data
    assert (faces.name, faces.crop_size, faces.image_size) == ("celeb_a", 140, 64)
    rooms = find("ve/bedroom_ncsnpp_continuous").experiment.data
    assert (rooms.name, rooms.test_split) == ("lsun/bedroom", "validation")
    stars = find("ve/celebahq_256_ncsnpp_continuous").experiment.data
    assert (stars.name, stars.test_split) == ("celeb_a_hq/256", "train[90%:]")
    assert isinstance(find("ve/ffhq_ncsnpp_continuous").experiment.data, Folder)


def test_a_dry_run_prints_a_published_model():
    results = succeed("train", "vp/cifar10_ddpmpp_continuous", "--dry-run")
    assert results["parameters"] == 61_804_419
    assert results["model"]["nf"] == results["experiment"]["network"]["channels"] == 128


def test_a_run_goes_through_the_published_format_as_it_is(runs):
    assert PublishedModel.from_json(runs.exported.with_suffix(".json").read_text()) == MODEL
    half, imported = (open_run(run) for run in (runs.half, runs.imported))
    assert imported.named == half.named
    jax.tree.map(np.testing.assert_array_equal, half.state, imported.state)


@pytest.mark.slow("test_a_run_goes_through_the_published_format_as_it_is")
def test_it_goes_on_as_if_it_had_not(runs, tmp_path):
    whole, half = tmp_path / "whole", tmp_path / "half"
    succeed("train", runs.model, "--workdir", whole)
    shutil.copytree(whole, half)
    shutil.rmtree(half / "checkpoints" / "4")
    run = through_the_published_format(runs.model, half, tmp_path).imported
    assert succeed("train", runs.model, "--workdir", run, "--resume")["step"] == 4
    jax.tree.map(np.testing.assert_array_equal, stored(whole), stored(run))


def test_an_imported_run_is_sampled(runs):
    drawn = succeed("sample", runs.imported, "--count", 2)
    assert (drawn["sampler"], drawn["nfe"]) == ("published", MODEL.num_scales)


@pytest.mark.slow("test_an_imported_run_is_sampled")
def test_an_imported_run_is_measured(runs):
    measured = succeed("likelihood", runs.imported, "--count", 2, "--tolerance", 0.1)
    assert measured["dimensions"] == 64


@pytest.mark.slow("test_a_run_goes_through_the_published_format_as_it_is")
def test_an_imported_run_is_exported_as_it_came(runs, tmp_path):
    out = tmp_path / "again.pth"
    succeed("export", runs.imported, "--format", "score-sde", "--out", out)
    assert read_torch_file(out).keys() == read_torch_file(runs.exported).keys()
    states = (read_checkpoint(path, MODEL) for path in (out, runs.exported))
    jax.tree.map(np.testing.assert_array_equal, *states)
    weights = succeed("export", runs.imported, "--format", "safetensors", "--out", tmp_path / "w")
    loaded = load_weights(weights["out"])
    jax.tree.map(np.testing.assert_array_equal, loaded.params, stored(runs.imported).ema_params)
    assert loaded.model == MODEL.score_model


def test_safetensors_hold_the_averaged_weights_and_the_configuration(tmp_path, digits_run):
    results = succeed("export", digits_run, "--format", "safetensors", "--out", tmp_path / "w")
    assert results["out"] == str(tmp_path / "w.safetensors")
    params, configuration = read_safetensors(results["out"])
    jax.tree.map(np.testing.assert_array_equal, params, stored(digits_run).ema_params)
    assert configuration["name"] == "quickstart"
    assert configuration["experiment"]["network"]["channels"] == 8


def test_our_own_runs_are_described_in_published_terms_where_they_can_be(tmp_path, digits_run):
    results = succeed("export", digits_run, "--format", "score-sde", "--out", tmp_path / "w.pth")
    model = PublishedModel.from_json((tmp_path / "w.json").read_text())
    assert (model.sde, model.image_size, model.num_channels) == ("vpsde", 8, 1)
    score = open_run(digits_run).score
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    theirs = load_checkpoint(results["out"], model)
    np.testing.assert_array_equal(*jax.jit(lambda x: (theirs(x, 0.3), score(x, 0.3)))(x))
    other = untrained("digits", tmp_path / "other")
    line = refusal("export", other, "--format", "score-sde", "--out", tmp_path / "r.pth")
    assert "--format score-sde does not apply to digits: " in line


def test_what_cannot_be_imported_leaves_nothing(tmp_path, runs):
    out = ["--workdir", tmp_path / "run"]
    for args, complaint in [
        ([tmp_path / "none.pth", "--model", runs.model], "none.pth cannot be read: No such file"),
        ([runs.model, "--model", runs.model], "small.json: "),
        ([runs.exported, "--model", "vp/cifar10"], "no published model is called 'vp/cifar10'"),
        ([runs.exported, "--model", tmp_path / "m.json"], "m.json cannot be read"),
        ([runs.exported, "--model", "vp/ddpm/cifar10"], "it does not fit the model; "),
    ]:
        assert complaint in refusal("import", *args, *out)
    assert contents(tmp_path) == {}
    described = ["--model", runs.model, "--workdir", runs.half]
    assert "holds a run already" in refusal("import", runs.exported, *described)


def test_only_published_models_have_a_sampler_of_their_own(tmp_path, digits_run):
    assert "`sampler` must not be published: the run is of no published model" in refusal(
        "sample", digits_run, "--sampler", "published"
    )


def test_weight_decay_is_refused():
    with pytest.raises(ValueError, match="`weight_decay` must be 0: got weight_decay=0.1"):
        published_experiment(dataclasses.replace(MODEL, weight_decay=0.1))
