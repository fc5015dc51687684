"""Tests of classifiers of noisy data as experiments: training, accuracy, refusals."""

import dataclasses
import math
import shutil
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SDES, each_name
from in_process import CLASSIFIER, refusal, succeed
from posterior_network import Outputs
from scipy.stats import norm
from tiny import tiny, write_run

from experiments import digits
from sde_jax.data import ArraySource, Batch, DataSpec, ImageScaling
from sde_jax.evaluation import accuracy
from sde_jax.evaluation.accuracy import accuracy_by_noise
from sde_jax.nets.classifier import ClassifierSpec
from sde_jax.objectives import NoisyCrossEntropy
from sde_jax.randomness import example_seeds
from sde_jax.recipes.classification import NoisyClassification
from sde_jax.runs.catalogue import find
from sde_jax.runs.trained_run import open_run_of
from sde_jax.score import ClassifierModel, LogNoiseLevel
from sde_jax.sde import VE

LEVELS = {"0.01", "0.1", "0.3", "1.0", "3.0", "10.0"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Squares(DataSpec):
    """Images of one grey level, white or black or between; which one, it says or does not."""

    classes: int | None = 3

    def load(self):
        labels = np.arange(48) % 3
        images = np.broadcast_to(3 * labels[:, None, None, None], (48, 4, 4, 1)).astype(np.uint8)
        splits = {"train": images, "test": images[:24]}
        of_splits = {"train": labels * (self.classes or 3) // 3, "test": labels[:24]}
        known = None if self.classes is None else of_splits
        return ArraySource(splits, known, scaling=ImageScaling(levels=7))


def squares(data=None, **fields):
    network = ClassifierSpec(classes=3, channels=4, multipliers=(1,), features=6, dropout=0.0)
    whole = digits.digits_noisy_classifier()
    return dataclasses.replace(whole, data=data or Squares(), network=network, **fields)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run that is as good as trained."""
    named = find(tiny("grey_noisy_classifier"))
    folder = tmp_path_factory.mktemp("noisy") / "run"
    return write_run(named, folder, named.experiment.training.steps)


def opened(folder):
    return open_run_of(NoisyClassification, folder)


def shaken(params):
    """Parameters of which none is near zero, as those are at first that the time passes through."""
    random = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: random.normal(0.1, 0.3, leaf.shape).astype("f"), params)


def test_training_reports_the_accuracy_at_every_noise_level(run):
    results = succeed("train", tiny("grey_noisy_classifier"), "--workdir", run, "--resume")
    found = results["accuracy_by_noise"]
    assert set(found) == LEVELS
    for of_level in found.values():
        share = of_level["accuracy"]
        assert of_level["count"] == 297
        assert share * 297 == pytest.approx(round(share * 297), abs=1e-3)
        binomial = np.sqrt(share * (1 - share) / 296)
        assert of_level["stderr"] == pytest.approx(binomial, rel=1e-3)


def test_a_run_gives_the_probability_that_guides(run):
    """That of the class, of the network as it is told the time."""
    run = opened(run)
    x, t = jax.random.normal(jax.random.key(0), (2, 8, 8, 1)), jnp.asarray([0.1, 0.6])
    params = shaken(run.params)
    of_label = run.experiment.log_probability(params, jnp.asarray([7, 0]))
    sde, network = run.experiment.sde, run.experiment.network.build()
    shown = x / np.sqrt(sde.alpha(t) ** 2 + sde.sigma(t) ** 2)[:, None, None, None]
    logits = jax.jit(network.apply)({"params": params}, shown, 999 * t).logits
    expected = jax.nn.log_softmax(logits)[jnp.arange(2), jnp.asarray([7, 0])]
    found = jax.jit(lambda of_label: of_label(x, t))(of_label)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow("test_its_loss_is_that_of_its_objective")
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(tmp_path):
    whole, copy = tmp_path / "whole", tmp_path / "copy"
    options = [*CLASSIFIER, "--training.steps", 4, "--training.checkpoint-every", 2]
    first = succeed("train", "digits_noisy_classifier", "--workdir", whole, *options)
    shutil.copytree(whole, copy)
    shutil.rmtree(copy / "checkpoints" / "4")
    again = succeed("train", "digits_noisy_classifier", "--workdir", copy, "--resume", *options)
    assert again["held_out_loss"] == first["held_out_loss"]
    jax.tree.map(np.testing.assert_array_equal, opened(copy).state, opened(whole).state)


class Sign(nn.Module):
    """Which of two classes, one of either sign."""

    @nn.compact
    def __call__(self, x, time, *, deterministic):
        total = x.sum(axis=(1, 2, 3))
        return Outputs(jnp.stack([-total, total], axis=1))


class Signs:
    """Images of one pixel, -.7 or .7 as their class is 0 or 1."""

    sizes = {"test": 2500}

    def batches(self, key, split, batch_size):
        label = np.arange(self.sizes[split]) % 3 % 2
        x = (1.4 * label[:, None, None, None] - 0.7).astype(np.float32)
        for first in range(0, len(x), batch_size):
            part = slice(first, first + batch_size)
            yield Batch(jnp.asarray(x[part]), jnp.asarray(label[part]))


def run_of_signs(sde):
    """What the accuracy needs of a run, of the best classifier of `Signs`."""
    model = ClassifierModel(network=Sign(), sde=sde)
    experiment = SimpleNamespace(model=lambda: model)
    return SimpleNamespace(experiment=experiment, params={}, source=Signs())


@each_name
def test_the_accuracy_is_that_of_its_noise_level(name):
    """The sign of ``.7 + level noise`` is right with probability Phi(.7 / level), n = 2500."""
    found = accuracy_by_noise(run_of_signs(SDES[name]))["accuracy_by_noise"]
    assert set(found) == LEVELS
    for level, of_level in found.items():
        expected = norm.cdf(0.7 / float(level))
        z = (of_level["accuracy"] - expected) / math.sqrt(expected * (1 - expected) / 2500 + 1e-9)
        assert abs(z) < 5, (level, z)
        assert of_level["count"] == 2500


def test_the_accuracy_does_not_depend_on_the_batch_size(monkeypatch):
    run = run_of_signs(SDES["vp"])
    whole = accuracy_by_noise(run)
    monkeypatch.setattr(accuracy, "BATCH_SIZE", 900)
    assert accuracy_by_noise(run) == whole


def test_levels_that_the_process_does_not_reach_are_left_out():
    run = run_of_signs(VE(sigma_min=0.05, sigma_max=3.0))
    assert set(accuracy_by_noise(run)["accuracy_by_noise"]) == {"0.1", "0.3", "1.0", "3.0"}


def test_its_loss_is_that_of_its_objective(key):
    """Of another process than the experiment's, told the noise level instead of the time."""
    process = {"sde": SDES["cosine"], "time_condition": LogNoiseLevel(scale=100.0)}
    experiment, (key_data, key_init, key_loss) = squares(**process), jax.random.split(key, 3)
    model = ClassifierModel(network=experiment.network.build(), **process)
    learner = experiment.learner((4, 4, 1))
    batch = next(experiment.data.load().batches(key_data, "train", 48))
    state = jax.jit(learner.init)(key_init)
    state = state._replace(ema_params=shaken(state.params))
    losses = jax.jit(NoisyCrossEntropy(model=model).losses, static_argnames="deterministic")
    expected = losses(
        state.ema_params, example_seeds(key_loss, 48), batch.x, batch.label, deterministic=True
    )
    found = jax.jit(learner.evaluate)(state, key_loss, batch)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert expected.std() > 0.01


@pytest.mark.parametrize(
    ("data", "options", "complaint"),
    [
        (Squares(classes=None), [], "`data` must have labels for a classifier: it has none"),
        (Squares(classes=6), [], "`classes` must be at least 5, as many as the data have: got 3"),
        (Squares(), ["--training.sample-every", 5], "`sample_every` must be 0 if"),
        (Squares(), ["--network.multipliers", 1, 1, 1], "levels of `multipliers`: got images of"),
    ],
)
def test_what_cannot_be_trained_leaves_nothing(tmp_path, monkeypatch, data, options, complaint):
    experiment = squares(data)
    monkeypatch.setattr(digits, "digits_noisy_classifier", lambda: experiment)
    folder = ["--workdir", tmp_path / "run"]
    name = "digits_noisy_classifier"
    assert complaint in refusal("train", name, *folder, "--training.batch-size", 16, *options)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_without_labels_is_refused(key):
    learner = squares().learner((4, 4, 1))
    with pytest.raises(ValueError, match="`data` must have labels for a classifier"):
        batch = Batch(jnp.zeros((2, 4, 4, 1)), None)
        jax.eval_shape(learner.evaluate, jax.eval_shape(learner.init, key), key, batch)


@pytest.mark.parametrize("command", ["sample", "likelihood"])
def test_commands_of_other_models_refuse_it(run, command):
    assert refusal(command, run) == (
        f"error: {run} must be the run of a generative model: it is that of the "
        "noise-conditional classifier grey_noisy_classifier."
    )
