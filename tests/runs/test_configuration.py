"""Tests of the experiments as values: configurations, lists, networks."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest
from in_process import refusal, run_command, succeed

from experiments import digits_vp
from experiments.reproduction.course import study_names
from sde_jax.data import Batch, ImageScaling
from sde_jax.interop.score_sde import published_names
from sde_jax.objectives import DiscreteTimes, EDMWeighting, LogNormalNoise, MinSNRWeighting
from sde_jax.recipes.matching import Denoising
from sde_jax.recipes.named import Named
from sde_jax.recipes.serialization import ConfigurationError, from_config, to_config
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.catalogue import find
from sde_jax.score import (
    DescendingIndex,
    EDMPrediction,
    LogNoiseLevel,
    LogScaledTime,
    ScaledTime,
    ScorePrediction,
)
from sde_jax.sde import DDPMChain

NAMES = [
    *("cifar10_subvp", "cifar10_ve", "cifar10_vp", "digits_classifier", "digits_conditional"),
    *("digits_ddpm", "digits_denoiser_prior", "digits_flow", "digits_gan", "digits_labels"),
    *("digits_latent", "digits_noisy_classifier", "digits_sliced", "digits_subvp", "digits_vae"),
    *("digits_ve", "digits_vp", "flowers_colour", "flowers_colour_narrow", "flowers_narrow"),
    *("flowers_vp", "folder", "mnist_classifier", "mnist_conditional", "mnist_conditional_narrow"),
    *("mnist_ddpm", "mnist_ddpm_narrow", "mnist_denoiser_prior", "mnist_flow", "mnist_flow_narrow"),
    *("mnist_gan", "mnist_gan_narrow", "mnist_labels", "mnist_latent", "mnist_latent_narrow"),
    *("mnist_noisy_classifier", "mnist_sliced", "mnist_subvp", "mnist_subvp_narrow", "mnist_vae"),
    *("mnist_vae_narrow", "mnist_ve", "mnist_ve_narrow", "mnist_vp", "mnist_vp_narrow"),
    *("quickstart", "ring", "ring_implicit", "ring_sliced", "svhn_vp"),
]
SHAPES = {
    "cifar10": (32, 32, 3),
    "digits": (8, 8, 1),
    "flowers": (64, 64, 1),
    "flowers_colour": (64, 64, 3),
    "flowers_colour_narrow": (32, 32, 3),
    "flowers_narrow": (32, 32, 1),
    "folder": (64, 64, 3),
    "mnist": (32, 32, 1),
    "quickstart": (8, 8, 1),
    "ring": (2,),
    "svhn": (32, 32, 3),
}


def value_of(name):
    return find(name).experiment


def stored(experiment):
    """What is in the file."""
    return json.loads(json.dumps(to_config(experiment)))


def test_list_names_every_experiment_and_study_with_a_line():
    outcome = run_command("list")
    assert outcome.code == 0
    experiments, studies = [*NAMES, *published_names()], study_names()
    assert outcome.results == {"experiments": experiments, "studies": studies}
    lines = outcome.stdout.splitlines()[:-1]
    named = ["train", *experiments, "reproduce", *studies]
    assert [line.split()[0] for line in lines] == named
    assert all(len(line.split()) > 2 for line in lines if line.startswith(" "))
    assert outcome.stderr == ""


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_comes_back_from_its_configuration(name):
    experiment = value_of(name)
    assert from_config(experiment, stored(experiment)) == experiment


def test_changed_values_come_back():
    default = value_of("digits_vp")
    changed = dataclasses.replace(
        default,
        sde=dataclasses.replace(default.sde, beta_max=12.5),
        network=dataclasses.replace(
            default.network, multipliers=(1, 3, 2), dropout=0.0, resampling_filter=(1, 3, 3, 1)
        ),
        optimizer=dataclasses.replace(default.optimizer, clip_norm=None, decay="constant"),
        matching=Denoising(reduction="half_sum"),
        ema_warmup=False,
        training=dataclasses.replace(default.training, eval_examples=7, keep_best=True),
        data_deviation=0.5,
    )
    assert from_config(default, stored(changed)) == changed
    assert from_config(changed, stored(default)) == default


def discrete_ddpm():
    """The training of Ho et al. 2020."""
    return dataclasses.replace(
        value_of("digits_vp"),
        noise_levels=DDPMChain(levels=100),
        time_condition=ScaledTime(scale=99.0),
        times=DiscreteTimes(levels=100),
        matching=Denoising(reduction="half_sum"),
    )


def discrete_smld():
    """The training of Song and Ermon 2020."""
    return dataclasses.replace(
        value_of("digits_ve"),
        parameterization=ScorePrediction(),
        time_condition=DescendingIndex(levels=100),
        data_deviation=None,
        times=DiscreteTimes(levels=100),
    )


def edm():
    """The training of Karras et al. 2022."""
    return dataclasses.replace(
        value_of("digits_ve"),
        parameterization=EDMPrediction(),
        time_condition=LogNoiseLevel(scale=0.25),
        data_deviation=0.5,
        times=LogNormalNoise(),
        weighting=EDMWeighting(),
    )


def min_snr():
    """The training of Hang et al. 2023."""
    return dataclasses.replace(
        value_of("digits_vp"), time_condition=LogScaledTime(), weighting=MinSNRWeighting()
    )


@pytest.mark.parametrize("make", [discrete_ddpm, discrete_smld, edm, min_snr])
def test_published_trainings_are_experiments(make, monkeypatch):
    """They are trained, stored, and offered as options."""
    monkeypatch.setattr(digits_vp, "experiment", make())
    experiment = value_of("digits_vp")
    assert from_config(experiment, stored(experiment)) == experiment
    learner, key = experiment.learner((8, 8, 1)), jax.random.key(0)
    batch = Batch(jax.ShapeDtypeStruct((4, 8, 8, 1), np.float32), None)
    state, _ = jax.eval_shape(learner.update, jax.eval_shape(learner.init, key), key, batch)
    assert state.step.shape == ()
    results = succeed("train", "digits_vp", "--dry-run")
    assert from_config(experiment, results["experiment"], "experiment") == experiment


def test_a_chain_where_there_is_none_is_refused():
    plain = value_of("digits_vp")
    chained = dataclasses.replace(plain, noise_levels=DDPMChain())
    message = r"`noise_levels` must not be an object: got \{'type': 'DDPMChain'"
    with pytest.raises(ConfigurationError, match=message):
        from_config(plain, stored(chained))
    with pytest.raises(ConfigurationError, match="`noise_levels` must be an object: got None"):
        from_config(chained, stored(plain))


def test_a_configuration_of_another_experiment_is_refused():
    with pytest.raises(ConfigurationError, match="`sde` must be a SubVP: got VP"):
        from_config(value_of("digits_subvp"), stored(value_of("digits_vp")))


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_learner(name):
    experiment = value_of(name)
    assert isinstance(experiment, Trainable)
    command = rf"sde-jax ((train|reproduce) )?{name}\b"
    assert re.search(command, description(name))
    shape = SHAPES.get(name) or SHAPES[name.split("_")[0]]
    learner = experiment.learner(shape)
    key = jax.random.key(0)
    state = jax.eval_shape(learner.init, key)
    batch = Batch(
        jax.ShapeDtypeStruct((4, *shape), np.float32), jax.ShapeDtypeStruct((4,), np.int32)
    )
    assert jax.eval_shape(learner.evaluate, state, key, batch).shape == (4,)


@pytest.mark.parametrize("name", ["mnist_vp", "mnist_subvp", "mnist_ve"])
def test_images_are_centred_as_their_prior_is(name):
    assert value_of(name).data.layout().scaling == ImageScaling(centered=True)


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_dry_run(name):
    results = succeed("train", name, "--dry-run")
    assert Named.from_config(results).experiment == value_of(name)
    assert results["parameters"] > 1000


def test_what_is_not_there_is_refused():
    assert "no experiment 'digits': there are cifar10_subvp, " in refusal("train", "digits")
    assert "train needs the NAME of an experiment first" in refusal("train")
    assert "train needs the NAME of an experiment first" in refusal("train", "--dry-run", "ring")
    assert "no command 'trian': there are list, train, " in refusal("trian")
    assert "Unrecognized options: extra" in refusal("list", "extra")
    assert "Unrecognized options: --steps, 3" in refusal("quickstart", "--steps", 3)
