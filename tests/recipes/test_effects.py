"""Settings without effect are refused, or named, before a run begins."""

import dataclasses

import pytest
from in_process import refusal, succeed
from tiny import digits, latent

from sde_jax.nets import NCSNppSpec
from sde_jax.recipes import Named
from sde_jax.recipes.effects import inspect, late_settings
from sde_jax.runs.trained_run import stored_experiment
from sde_jax.runs.training import prepare, train_experiment
from sde_jax.training import RunDirectory

ATTENTION = "`attention_resolutions` must be some of the sizes of the levels, "


@pytest.mark.parametrize(("sizes", "got"), [([16], "16"), ([8, 5], "8, 5")])
def test_attention_at_no_level_is_refused(tmp_path, sizes, got):
    options = ["--network.attention-resolutions", *sizes]
    for way in ([], ["--dry-run"]):
        line = refusal("train", "quickstart", "--workdir", tmp_path / "run", *options, *way)
        assert f"{ATTENTION}8, 4, or none: got {got}." in line
    assert list(tmp_path.iterdir()) == []


def test_attention_at_levels_or_none_is_accepted():
    for sizes in ([8, 4], []):
        options = ["--network.attention-resolutions", *sizes, "--dry-run"]
        config = succeed("train", "quickstart", *options)["experiment"]
        assert config["network"]["attention_resolutions"] == sizes


def test_the_levels_are_those_of_what_the_network_sees():
    """The network of a latent model sees latents of half the size."""
    network = NCSNppSpec(channels=8, multipliers=(1,), attention_resolutions=(8,))
    experiment = dataclasses.replace(latent(), network=network)
    with pytest.raises(ValueError, match=f"{ATTENTION}4, or none: got 8"):
        inspect(experiment.learner((8, 8, 1)))
    network = dataclasses.replace(network, attention_resolutions=(4,))
    inspect(dataclasses.replace(experiment, network=network).learner((8, 8, 1)))


def test_a_run_from_before_goes_on(digits_run):
    """It attends at 4 pixels, which its one level does not have."""
    experiment = stored_experiment(RunDirectory.open(digits_run)).experiment
    with pytest.raises(ValueError, match=f"{ATTENTION}8, or none: got 4"):
        prepare(experiment)
    assert prepare(experiment, is_new=False).source.shape == (8, 8, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--network.fourier-scale", 3], "`network.fourier_scale` has no effect unless `embedd"),
        (["--network.sigma-max", 3], "`network.sigma_max` has no effect unless `scale_by_sigma`"),
        (["--network.combine", "cat"], "`network.combine` has no effect unless `progressive_inp"),
        (["--label-dropout", 0.5], "`label_dropout` has no effect unless `network.classes`"),
        (["--optimizer.clip-norm", "None", "--optimizer.clip-eps", 1], "`clip_norm` is set"),
        (["--training.eval-every", 0, "--training.eval-examples", 9], "`eval_every` is positive"),
    ],
    ids=lambda part: part[0] if isinstance(part, list) else "",
)
def test_options_without_effect_are_refused(options, named):
    assert named in refusal("train", "quickstart", "--dry-run", *options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--sampling.snr", 0.3], "`snr` does not apply to the sampler unipc"),
        (
            ["--likelihood-count", 9, "--metrics", "frechet"],
            "`likelihood_count` has no effect unless `metrics` has likelihood",
        ),
        (
            ["--likelihood.probes", 3, "--metrics", "frechet"],
            "--likelihood has no effect unless --metrics has likelihood",
        ),
    ],
)
def test_options_of_an_evaluation_without_effect_are_refused(tiny_run, options, named):
    assert named in refusal("evaluate", tiny_run, *options)


def test_settings_that_come_late_are_named():
    usual = digits()
    assert late_settings(usual) == []
    training = dataclasses.replace(usual.training, eval_every=9, keep_best=True)
    optimizer = dataclasses.replace(usual.optimizer, warmup_steps=5)
    changed = dataclasses.replace(usual, training=training, optimizer=optimizer)
    warmup, evaluation = late_settings(changed)
    assert warmup.startswith("`optimizer.warmup_steps`=5 is more than `training.steps`=4: ")
    assert evaluation.startswith("`training.eval_every`=9 is more than `training.steps`=4: ")
    assert "`keep_best` keeps that one" in evaluation


def test_the_words_are_warnings(tmp_path, monkeypatch, capsys):
    usual = digits()
    training = dataclasses.replace(usual.training, eval_every=9)
    monkeypatch.setattr("sde_jax.runs.training.train", lambda *args, **options: None)
    monkeypatch.setattr("sde_jax.figures.curves", lambda *args, **options: None)
    for resume, expected in ((False, 1), (True, 0)):
        named = Named("x", dataclasses.replace(usual, training=training))
        train_experiment(named, tmp_path / "run", resume=resume)
        assert capsys.readouterr().err.count("warning: `training.eval_every`=9") == expected
