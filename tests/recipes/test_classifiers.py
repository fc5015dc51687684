"""Tests of classifiers as experiments: what they are shown, their accuracy, what refuses them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from in_process import CLASSIFIER, refusal, succeed

from experiments import digits
from sde_jax.arrays import strided_parts
from sde_jax.data import ArraySource, Batch, DataSpec, ImageScaling
from sde_jax.nets.classifier import ClassifierSpec
from sde_jax.randomness import example_seeds
from sde_jax.recipes import trainable
from sde_jax.recipes.classification import Classification
from sde_jax.runs.trained_run import open_run_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dots(DataSpec):
    """Images whose one bright pixel says which class they are."""

    classes: int | None = 3

    def load(self):
        labels = np.arange(24) % (self.classes or 3)
        images = np.zeros((24, 4, 4, 1), np.uint8)
        images.reshape(24, 16)[np.arange(24), labels] = 6
        splits = {"train": images, "test": images[:9]}
        of_splits = {"train": labels, "test": labels[:9]}
        labels = None if self.classes is None else of_splits
        return ArraySource(splits, labels, scaling=ImageScaling(levels=7))


def dots(data=None, *, dropout=0.5, **fields):
    network = ClassifierSpec(classes=3, channels=4, multipliers=(1,), features=6, dropout=dropout)
    whole = digits.digits_classifier()
    return dataclasses.replace(whole, data=data or Dots(), network=network, **fields)


def logits_of(experiment, params, images):
    return jax.jit(experiment.network.build().apply)({"params": params}, images).logits


def test_it_is_shown_images_of_exact_levels(key):
    """The loss does not depend on the dequantization, and is that of images in [0, 1]."""
    experiment = dots()
    learner, source = experiment.learner((4, 4, 1)), experiment.data.load()
    state, evaluate = jax.jit(learner.init)(key), jax.jit(learner.evaluate)
    losses = [
        evaluate(state, key, next(source.batches(jax.random.key(seed), "test", 9)))
        for seed in (1, 2)
    ]
    np.testing.assert_array_equal(*losses)
    images, labels = source.images["test"] / np.float32(6), source.labels["test"]
    logits = logits_of(experiment, state.ema_params, images)
    expected = -jax.nn.log_softmax(logits)[jnp.arange(9), labels]
    np.testing.assert_allclose(losses[0], expected, rtol=1e-5)


def test_a_part_of_a_batch_has_the_losses_that_it_has_in_the_whole(key, monkeypatch):
    learners = []
    monkeypatch.setattr(trainable, "gradient_learner", lambda *given, **_: learners.append(given))
    dots().learner((4, 4, 1))
    ((init_params, losses, _),) = learners
    batch, params = next(dots().data.load().batches(key, "train", 24)), jax.jit(init_params)(key)
    given = example_seeds(key, 24), batch
    of = jax.jit(functools.partial(losses, deterministic=True))
    whole, part = of(params, *given), of(params, *strided_parts(given, 3)[1])
    np.testing.assert_allclose(part, whole[1::3], rtol=1e-5)


def test_training_reports_the_accuracy_on_the_whole_test_split(classifier_training):
    folder, outcome = classifier_training
    assert outcome.code == 0, outcome.stderr
    assert outcome.results["count"] == 297
    run = open_run_of(Classification, folder)
    levels, labels = run.source.images["test"], run.source.labels["test"]
    logits = logits_of(run.experiment, run.state.ema_params, levels / np.float32(16))
    accuracy = np.mean(np.asarray(logits).argmax(axis=1) == labels)
    assert outcome.results["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    binomial = np.sqrt(accuracy * (1 - accuracy) / 297)
    assert outcome.results["stderr"] == pytest.approx(binomial, rel=0.01)


def test_a_finished_run_is_left_alone(classifier_training, monkeypatch):
    """Its accuracy is not measured again either."""
    folder, outcome = classifier_training
    monkeypatch.delattr("sde_jax.evaluation.accuracy.accuracy")
    again = succeed("train", "digits_classifier", "--workdir", folder, "--resume", *CLASSIFIER)
    assert again["seconds"] == 0
    assert again["accuracy"] == outcome.results["accuracy"]


@pytest.mark.parametrize(
    ("data", "options", "complaint"),
    [
        (Dots(classes=None), [], "`data` must have labels for a classifier: it has none"),
        (
            Dots(classes=5),
            [],
            "`classes` must be at least 5, as many as the data have: got 3",
        ),
        (Dots(), ["--training.sample-every", 5], "`sample_every` must be 0 if"),
        (Dots(), ["--network.multipliers", 1, 1, 1], "levels of `multipliers`: got images of"),
    ],
)
def test_what_cannot_be_trained_leaves_nothing(tmp_path, monkeypatch, data, options, complaint):
    experiment = dots(data)
    monkeypatch.setattr(digits, "digits_classifier", lambda: experiment)
    folder = ["--workdir", tmp_path / "run"]
    line = refusal("train", "digits_classifier", *folder, "--training.batch-size", 16, *options)
    assert complaint in line
    assert list(tmp_path.iterdir()) == []


def test_a_batch_without_labels_is_refused(key):
    learner = dots().learner((4, 4, 1))
    with pytest.raises(ValueError, match="`data` must have labels for a classifier"):
        batch = Batch(jnp.zeros((2, 4, 4, 1)), None)
        jax.eval_shape(learner.evaluate, jax.eval_shape(learner.init, key), key, batch)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("sample",), "generative model"),
        (("likelihood",), "generative model"),
        (("export", "--format", "safetensors", "--out", "w.safetensors"), "score model"),
    ],
)
def test_commands_of_other_models_refuse_it(classifier_run, command, kind):
    line = refusal(command[0], classifier_run, *command[1:])
    assert line == (
        f"error: {classifier_run} must be the run of a {kind}: it is that of the classifier "
        "digits_classifier."
    )


def test_it_can_be_watched(classifier_run):
    assert succeed("watch", classifier_run)["state"] == "finished"
