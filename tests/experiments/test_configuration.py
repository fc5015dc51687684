"""Tests of the experiments as values: configurations, lists, networks."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from in_process import refusal, run_command, succeed

from experiments.configuration import (
    ConfigurationError,
    description,
    find,
    from_config,
    to_config,
)
from experiments.experiment import Experiment
from sde_jax.data.source import Batch

NAMES = [
    *("digits_subvp", "digits_ve", "digits_vp"),
    *("mnist_subvp", "mnist_ve", "mnist_vp", "quickstart", "ring"),
]
SHAPES = {"digits": (8, 8, 1), "quickstart": (8, 8, 1), "mnist": (32, 32, 1), "ring": (2,)}


def stored(experiment):
    """What is in the file."""
    return json.loads(json.dumps(to_config(experiment)))


def test_list_names_every_experiment_with_a_line():
    outcome = run_command("list")
    assert outcome.code == 0
    assert outcome.results == {"experiments": NAMES}
    assert [line.split()[0] for line in outcome.stdout.splitlines()[:-1]] == NAMES
    assert all(len(line.split()) > 2 for line in outcome.stdout.splitlines()[:-1])
    assert outcome.stderr == ""


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_comes_back_from_its_configuration(name):
    experiment = find(name)
    assert from_config(experiment, stored(experiment)) == experiment


def test_changed_values_come_back():
    default = find("digits_vp")
    changed = dataclasses.replace(
        default,
        sde=dataclasses.replace(default.sde, beta_max=12.5),
        network=dataclasses.replace(
            default.network, multipliers=(1, 3, 2), dropout=0.0, resampling_filter=(1, 3, 3, 1)
        ),
        optimizer=dataclasses.replace(default.optimizer, clip_norm=None, decay="constant"),
        reduction="half_sum",
        ema_warmup=False,
        training=dataclasses.replace(default.training, eval_examples=7, keep_best=True),
        data_deviation=0.5,
    )
    assert from_config(default, stored(changed)) == changed
    assert from_config(changed, stored(default)) == default


def test_a_configuration_of_another_experiment_is_refused():
    with pytest.raises(ConfigurationError, match="`sde` must be a SubVP: got VP"):
        from_config(find("digits_subvp"), stored(find("digits_vp")))


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_learner(name):
    experiment = find(name)
    assert isinstance(experiment, Experiment)
    assert f"python -m experiments {'' if name == 'quickstart' else 'train '}{name}" in description(
        name
    )
    shape = SHAPES[name.split("_")[0]]
    learner = experiment.learner(shape)
    key = jax.random.key(0)
    state = jax.eval_shape(learner.init, key)
    batch = Batch(jax.ShapeDtypeStruct((4, *shape), np.float32), None)
    assert jax.eval_shape(learner.evaluate, state, key, batch).shape == (4,)


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_dry_run(name):
    results = succeed("train", name, "--dry-run")
    assert from_config(find(name), results["experiment"], "experiment") == find(name)
    assert results["parameters"] > 1000


def test_what_is_not_there_is_refused():
    assert "no experiment 'digits': there are digits_subvp, " in refusal("train", "digits")
    assert "train needs the NAME of an experiment first" in refusal("train")
    assert "train needs the NAME of an experiment first" in refusal("train", "--dry-run", "ring")
    assert "no command 'trian': there are list, train, " in refusal("trian")
    assert "Unrecognized options: extra" in refusal("list", "extra")
    assert "Unrecognized options: --steps, 3" in refusal("quickstart", "--steps", 3)
