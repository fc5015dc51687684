"""Configurations of runs: every experiment comes back, old ones open, others are refused."""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from in_process import succeed

from experiments import digits
from experiments.digits import digits_ve, digits_vp
from sde_jax.data import Batch
from sde_jax.interop.configurations import published_names
from sde_jax.objectives import DiscreteTimes, EDMWeighting, LogNormalNoise, MinSNRWeighting
from sde_jax.recipes import serialization
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.likelihood_settings import FlowSettings
from sde_jax.recipes.matching import Denoising
from sde_jax.recipes.named import Named
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.serialization import ConfigurationError, from_config, to_config
from sde_jax.runs import find, names
from sde_jax.score import (
    DescendingIndex,
    EDMPrediction,
    LogNoiseLevel,
    LogScaledTime,
    ScaledTime,
    ScorePrediction,
)
from sde_jax.sde import VP, DDPMChain

OLD = sorted((Path(__file__).parents[1] / "data" / "configurations").glob("*.json"))
"""Configurations of version 1, as they were stored."""


def stored(named):
    """What is in the file."""
    return json.loads(json.dumps(named.config()))


def experiment_of(change=lambda config: None):
    """The experiment `digits_vp` from its configuration, which ``change`` changes."""
    config = stored(find("digits_vp"))
    change(config)
    return Named.from_config(config).experiment


@pytest.mark.parametrize("name", [*names(), *published_names()])
def test_an_experiment_comes_back_from_its_configuration(name):
    named = find(name)
    assert Named.from_config(stored(named)) == named


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_a_configuration_of_version_1_opens(path):
    config = json.loads(path.read_text())
    assert "format" not in config
    assert stating(Named.from_config(config)) == stating(find(config["name"]))


def stating(named):
    """The defaults of the start of a flow and of the grid stated, as version 1 did."""

    def stated(value):
        if isinstance(value, FlowSettings):
            return dataclasses.replace(value, t_min=value.start)
        if isinstance(value, SamplerSettings) and value.grid == "auto":
            return dataclasses.replace(value, grid="log-snr")
        if isinstance(value, EvaluationSettings):
            return dataclasses.replace(value, sampling=stated(value.sampling))
        return value

    fields = {
        f.name: stated(getattr(named.experiment, f.name))
        for f in dataclasses.fields(named.experiment)
    }
    return dataclasses.replace(named, experiment=dataclasses.replace(named.experiment, **fields))


def test_old_configurations_are_of_every_recipe():
    recipes = {json.loads(path.read_text())["experiment"]["type"] for path in OLD}
    now = {type(find(name).experiment).__name__ for name in names()}
    later = {"Dequantization", "Student"}
    assert {serialization.RENAMED.get(name, name) for name in recipes} == now - later


def test_a_name_of_version_1_is_that_of_the_data_before_that_of_a_score():
    mixture = from_config({"type": "GaussianMixture"}, "data", version=1)
    assert type(mixture).__module__ == "sde_jax.data.synthetic"


def test_changed_values_come_back():
    default = digits_vp()
    changed = dataclasses.replace(
        default,
        sde=dataclasses.replace(default.sde, beta_max=12.5),
        network=dataclasses.replace(
            default.network, multipliers=(1, 3, 2), dropout=0.0, resampling_filter=(1, 3, 3, 1)
        ),
        optimizer=dataclasses.replace(default.optimizer, clip_norm=None, decay="constant"),
        matching=Denoising(reduction="half_sum"),
        noise_levels=DDPMChain(levels=100),
        ema_warmup=False,
        training=dataclasses.replace(default.training, eval_examples=7, keep_best=True),
        data_deviation=0.5,
    )
    named = Named("digits_vp", changed)
    assert Named.from_config(stored(named)) == named


def discrete_ddpm():
    """The training of Ho et al. 2020."""
    return dataclasses.replace(
        digits_vp(),
        noise_levels=DDPMChain(levels=100),
        time_condition=ScaledTime(scale=99.0),
        times=DiscreteTimes(levels=100),
        matching=Denoising(reduction="half_sum"),
    )


def discrete_smld():
    """The training of Song and Ermon 2020."""
    return dataclasses.replace(
        digits_ve(),
        parameterization=ScorePrediction(),
        time_condition=DescendingIndex(levels=100),
        data_deviation=None,
        times=DiscreteTimes(levels=100),
    )


def edm():
    """The training of Karras et al. 2022."""
    return dataclasses.replace(
        digits_ve(),
        parameterization=EDMPrediction(),
        time_condition=LogNoiseLevel(scale=0.25),
        data_deviation=0.5,
        times=LogNormalNoise(),
        weighting=EDMWeighting(),
    )


def min_snr():
    """The training of Hang et al. 2023."""
    return dataclasses.replace(
        digits_vp(), time_condition=LogScaledTime(), weighting=MinSNRWeighting()
    )


@pytest.mark.parametrize("make", [discrete_ddpm, discrete_smld, edm, min_snr])
def test_published_trainings_are_experiments(make, monkeypatch):
    """They are trained, stored, and offered as options."""
    whole = make()
    small = {"channels": 8, "multipliers": (1,), "blocks_per_level": 1, "attention_resolutions": ()}
    network = dataclasses.replace(whole.network, **small)
    experiment = dataclasses.replace(whole, network=network)
    monkeypatch.setattr(digits, "digits_vp", lambda: experiment)
    learner, key = experiment.learner((8, 8, 1)), jax.random.key(0)
    batch = Batch(jax.ShapeDtypeStruct((4, 8, 8, 1), np.float32), None)
    state, _ = jax.eval_shape(learner.update, jax.eval_shape(learner.init, key), key, batch)
    assert state.step.shape == ()
    results = succeed("train", "digits_vp", "--dry-run")
    assert Named.from_config(results).experiment == experiment


def test_missing_fields_take_their_defaults():
    def forget(config):
        del config["experiment"]["sampling"]
        del config["experiment"]["sde"]["beta_min"]

    default = digits_vp()
    assert experiment_of(forget) == default

    def forget_what_has_none(config):
        del config["experiment"]["optimizer"]

    with pytest.raises(ConfigurationError, match="`experiment` lacks the field `optimizer`"):
        experiment_of(forget_what_has_none)


@pytest.mark.parametrize(
    ("version", "expected"), [(1, 3.0), (2, 4.0), (3, VP().beta_max)], ids=["1", "2", "3"]
)
def test_a_missing_field_takes_the_default_of_its_time(monkeypatch, version, expected):
    changed = (
        (1, "sde_jax.sde.VP", "beta_max", 3.0),
        (2, "sde_jax.sde.VP", "beta_max", 4.0),
        (2, "sde_jax.sde.SubVP", "beta_max", 5.0),
    )
    monkeypatch.setattr(serialization, "CHANGED_DEFAULTS", changed)
    name = "VP" if version == 1 else "sde_jax.sde.VP"
    assert from_config({"type": name}, "sde", version=version).beta_max == expected
    stated = {"type": name, "beta_max": 7.0}
    assert from_config(stated, "sde", version=version).beta_max == 7.0


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("sde.gamma", 1.0, "`experiment.sde` has an unknown field `gamma`"),
        ("widht", 1, "`experiment` has an unknown field `widht`"),
        ("sde", {"type": "sde_jax.data.Ring"}, ".sde` must be of type LinearSDE: got Ring"),
        ("sde", None, "`experiment.sde` must be of type LinearSDE: got None"),
        ("ema_decay", "much", "`experiment.ema_decay` must be of type float: got 'much'"),
        ("network.multipliers", [1, "2"], ".network.multipliers` must be of type tuple[int, ...]"),
        ("network.multipliers", 2, ".network.multipliers` must be of type tuple[int, ...]"),
        ("compute_dtype", "float16", ".compute_dtype` must be one of float32, bfloat16: got"),
        ("sde.beta_max", -1.0, "`experiment.sde` is not a VP: `beta_max` must exceed"),
        ("network.channels", 8.5, ".network.channels` must be of type int: got 8.5"),
        ("network.channels", True, ".network.channels` must be of type int: got True"),
        ("network.multipliers", [[1]], ".network.multipliers` must be of type tuple[int, ...]"),
        ("data.coloured", "yes", "`experiment.data.coloured` must be of type bool: got 'yes'"),
        ("training.steps", 10**20, "`steps` must be at most 2,000,000,000: got steps=1000000000"),
        ("training.steps", 10**400, "`steps` must be at most 2,000,000,000: got steps=1000000000"),
        ("sde.beta_max", float("inf"), "`beta_max` must be finite in 32 bits: got beta_max=inf"),
        ("ema_decay", float("nan"), "`ema_decay`"),
        ("sde", {"beta_min": 0.1}, "`experiment.sde` must be an object with a `type`: got None"),
        ("noise_levels", {"type": "sde_jax.sde.Chain"}, "got sde_jax.sde.Chain"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(path, value, complaint):
    def change(config):
        *parents, last = path.split(".")
        part = config["experiment"]
        for name in parents:
            part = part[name]
        part[last] = value

    with pytest.raises(ConfigurationError) as error:
        experiment_of(change)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        *("this.Thing", "antigravity.Thing", "sde_jax.this.Thing", "sde_jax.sde.LinearSDE.x"),
        *("sde_jax.sde.transition", "sde_jax.sde.base.LinearSDE", "os.path", "this:Thing"),
        *("this.py:Thing", "VP", "sde_jax.arrays.Array", "sde_jax.command_line.train.Train", ""),
    ],
)
def test_classes_from_elsewhere_are_refused_and_not_imported(name):
    def change(config):
        config["experiment"]["sde"] = {"type": name}

    sys.modules.pop("this", None)
    with pytest.raises(ConfigurationError, match="`experiment.sde` must be of a dataclass of sde_"):
        experiment_of(change)
    assert not {"this", "antigravity"} & set(sys.modules)


@pytest.mark.parametrize("name", [5, None, [], {}])
def test_a_name_of_another_type_is_refused(name):
    with pytest.raises(ConfigurationError, match="`name` must be of type str: got "):
        experiment_of(lambda config: config.update(name=name))


@pytest.mark.parametrize("version", [0, 3, 99, "2", None, True, 2.0])
def test_another_format_is_refused(version):
    with pytest.raises(ConfigurationError) as error:
        experiment_of(lambda config: config.update(format=version))
    said = f"`format` is {version!r}, and this version of sde_jax reads 1 to 2: upgrade sde_jax"
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("config", [{}, [], 3, "x", {"name": "x"}, {"name": "x", "experiment": 3}])
def test_what_is_no_configuration_is_refused(config):
    with pytest.raises(ConfigurationError):
        Named.from_config(config)


def test_a_part_of_an_experiment_is_none():
    config = {"format": 2, "name": "x", "experiment": to_config(VP())}
    with pytest.raises(ConfigurationError, match="`experiment` is no experiment"):
        Named.from_config(config)


def classes_of(spec):
    """The classes of a spec and its parts."""
    if isinstance(spec, tuple):
        return set().union(*map(classes_of, spec))
    if not dataclasses.is_dataclass(spec):
        return set()
    return {type(spec)}.union(
        *(classes_of(getattr(spec, field.name)) for field in dataclasses.fields(spec))
    )


def test_every_class_of_an_experiment_is_exported_by_its_package():
    known = [find(name).experiment for name in (*names(), *published_names())]
    for kind in set().union(*map(classes_of, known)):
        name = serialization.class_name(kind)
        assert serialization.class_named(name, "spec", serialization.FORMAT, None) is kind
        assert serialization.class_of_version_1(kind.__name__) is kind
