"""A conditional model and its answers, in seconds."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from in_process import refusal, succeed
from tiny import conditional, tiny, untrained

from experiments.studies.answers import Answers
from sde_jax.data import Digits
from sde_jax.recipes.conditional import Task


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained("conditional", tmp_path_factory.mktemp("conditional") / "run")


@pytest.mark.slow("test_colours_and_details_are_asked_for_by_the_same_model")
def test_it_is_trained_with_pictures(tmp_path):
    options = ("--workdir", tmp_path / "run", "--training.sample-every", 4)
    succeed("train", tiny("conditional"), *options)
    assert (tmp_path / "run" / "pictures" / "samples-4.png").is_file()


def test_its_report_compares_answers(run, tmp_path):
    results = Answers(run=run.name).measure(run.parent, tmp_path)
    assert results["count"] == 256
    errors = {name: error["value"] for name, error in results["rmse"].items()}
    assert errors.keys() == {"regression", "one_draw", "mean_of_draws"}
    assert errors["mean_of_draws"] < errors["one_draw"]
    with PIL.Image.open(tmp_path / "answers.png") as picture:
        assert picture.width > 7 * 64


@pytest.mark.slow("test_colours_and_details_are_asked_for_by_the_same_model")
def test_samples_answer_held_out_images_whatever_the_batch(run):
    options = ["--count", 10]
    whole = succeed("sample", run, *options, "--out", run / "whole.npz")
    parts = succeed("sample", run, *options, "--batch-size", 8, "--out", run / "parts.npz")
    assert whole["failed"] == parts["failed"] == []
    x, other = (np.load(run / f"{name}.npz")["samples"] for name in ("whole", "parts"))
    np.testing.assert_allclose(x, other, atol=2e-2)


def test_there_is_no_likelihood_of_images_given_a_part_of_them(run):
    said = "error: a conditional score model has no likelihood."
    assert refusal("likelihood", run, "--count", 8) == said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task.lost", "sound"], "must be one of colour, detail, half"),
        (["--task.lost", "detail", "--task.factor", 3], "`factor` must divide height and width"),
        (["--task.lost", "colour"], "`Grey` needs images of three channels"),
    ],
)
def test_tasks_that_do_not_fit_are_refused_in_a_line(tmp_path, options, said):
    message = refusal("train", tiny("conditional"), "--workdir", tmp_path / "run", *options)
    assert said in message
    assert not (tmp_path / "run").exists()


def test_the_task_is_recorded(run):
    config = json.loads((run / "config.json").read_text())
    task = {"type": "sde_jax.recipes.Task", "lost": "half", "factor": 4}
    assert config["experiment"]["task"] == task


@pytest.mark.parametrize(
    ("data", "task", "channels"),
    [(Digits(coloured=True), Task(lost="colour"), 1), (Digits(), Task(lost="detail"), 1)],
    ids=["colour", "detail"],
)
def test_colours_and_details_are_asked_for_by_the_same_model(data, task, channels):
    """What is left has the channels that it should, and samples are images of the data's shape."""
    experiment = dataclasses.replace(conditional(), data=data, task=task)
    source, layout = data.load(), data.layout()
    assert experiment.questions(source).shape == (256, 8, 8, channels)
    draw = experiment.sample_fn(layout, experiment.sampling.build(), lambda: source)
    params = jax.eval_shape(experiment.learner(layout.shape).init, jax.random.key(0)).params
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 4))
    samples = jax.eval_shape(draw, params, keys, jax.ShapeDtypeStruct((4,), jnp.int32))
    assert samples.x.shape == (4, *source.shape)
