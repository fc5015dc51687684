"""Every kind of generative model by the same commands, in seconds: trained, drawn, measured."""

import json
import shutil

import jax
import numpy as np
import pytest
from in_process import refusal, succeed
from tiny import tiny

from sde_jax.runs.trained_run import open_generative

KINDS = ("vae", "gan", "flow", "latent")
MEASURED = [name for name in KINDS if name != "gan"]
DIGITS = {
    "digits_vae": ["--network.channels", 4, "--network.multipliers", 1, "--network.latent", 2],
    "digits_gan": ["--network.channels", 4, "--network.multipliers", 1],
    "digits_flow": ["--network.width", 4, "--network.couplings", 2],
    "digits_latent": [
        *("--autoencoder.channels", 4, "--network.channels", 4, "--network.blocks-per-level", 1),
        *("--sampling.steps", 3),
    ],
}


def slow(*names):
    """The same names, of tests that take minutes."""
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each kind, trained for four steps without a stop."""
    folder = tmp_path_factory.mktemp("kinds")
    for name in KINDS:
        options = ["--workdir", folder / name, "--training.sample-every", 4]
        succeed("train", tiny(name), *options)
        assert (folder / name / "pictures" / "samples-4.png").is_file()
    return folder


@pytest.fixture(scope="module")
def evaluated(runs):
    """Results of an evaluation of each run."""

    def evaluate(name):
        metrics = ["kernel", "likelihood"] if name in MEASURED else ["kernel"]
        return succeed(
            *("evaluate", runs / name, "--count", 32, "--features", "coordinates"),
            *("--metrics", *metrics, "--likelihood-count", 16),
        )["results"]

    return {name: evaluate(name) for name in KINDS}


def check_that_it_goes_on(whole, copy, *training):
    """A run without its last checkpoint ends as it did before."""
    shutil.copytree(whole, copy)
    shutil.rmtree(copy / "checkpoints" / "4")
    assert succeed("train", *training, "--workdir", copy, "--resume")["step"] == 4
    states = [open_generative(run).state for run in (whole, copy)]
    jax.tree.map(np.testing.assert_array_equal, *states)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states[0]))


@pytest.mark.parametrize("name", ["latent", *slow("vae", "gan", "flow")])
def test_a_run_that_goes_on_ends_as_one_that_never_stopped(name, runs, tmp_path):
    picture = ("--training.sample-every", 4)
    check_that_it_goes_on(runs / name, tmp_path / "run", tiny(name), *picture)


@pytest.mark.slow
@pytest.mark.parametrize("name", DIGITS)
def test_the_networks_of_digits_go_on_and_are_drawn_as_well(name, tmp_path):
    training = [
        *(name, *DIGITS[name], "--training.batch-size", 16, "--training.eval-examples", 16),
        *("--training.steps", 4, "--training.eval-every", 2, "--training.checkpoint-every", 2),
    ]
    succeed("train", *training, "--workdir", tmp_path / "whole")
    check_that_it_goes_on(tmp_path / "whole", tmp_path / "run", *training)
    out = tmp_path / "drawn.npz"
    assert succeed("sample", tmp_path / "run", "--count", 8, "--out", out)["failed"] == []
    if name != "digits_gan":
        options = ["--tolerance", 0.1] if name == "digits_latent" else []
        results = succeed("likelihood", tmp_path / "run", "--count", 8, *options)
        assert 1 < results["bits_per_dim"] < 30


@pytest.mark.parametrize("name", KINDS)
def test_a_sample_depends_on_seed_and_number_alone(name, runs, tmp_path):
    drawn = []
    for how in (["--batch-size", 16], ["--batch-size", 8], ["--seed", 1]):
        out = tmp_path / f"{len(drawn)}.npz"
        results = succeed("sample", runs / name, "--count", 10, "--out", out, *how)
        assert results["failed"] == []
        drawn.append(np.load(out)["samples"])
    assert drawn[0].shape == (10, 8, 8, 1)
    np.testing.assert_allclose(drawn[0], drawn[1], atol=1e-4)
    assert np.abs(drawn[0] - drawn[2]).max() > 1e-3


@pytest.mark.parametrize("name", MEASURED)
def test_a_likelihood_is_measured(name, runs):
    results = succeed("likelihood", runs / name, "--count", 16)
    assert results["count"] == 16
    assert results["failed"] == []
    assert 1 < results["bits_per_dim"] < 30


@pytest.mark.parametrize("name", ["flow", *slow("vae", "latent")])
def test_anomalies_are_told_apart(name, runs, tmp_path):
    options = ("--against", "noise", "--count", 16, "--batch-size", 16)
    results = succeed("anomalies", runs / name, *options, "--out", tmp_path / "noise")
    held_out, noise = results["held_out"], results["against"]["noise"]
    assert results["failed"] == []
    assert 1 < held_out["bits_per_dim"] < 30 and noise["bits_per_dim"] > 1
    assert 0 <= noise["auc"] <= 1
    assert (tmp_path / "noise.png").is_file()


def test_more_importance_samples_give_no_fewer_nats(runs):
    """The bound of the autoencoder falls, in bits, as it gets tighter."""
    few, many = (
        succeed("likelihood", runs / "vae", "--count", 64, "--importance-samples", count)
        for count in (1, 256)
    )
    assert many["bits_per_dim"] < few["bits_per_dim"]


@pytest.mark.parametrize("name", KINDS)
def test_an_evaluation_has_its_record(name, evaluated):
    results = evaluated[name]
    assert np.isfinite(results["coordinates.kernel_distance"])
    bits = {"flow": "bits_per_dim", "gan": None}.get(name, "bits_per_dim_bound")
    found = [metric for metric in results if metric.startswith("bits")]
    assert found == [bits] * (name in MEASURED)


@pytest.mark.usefixtures("evaluated")
def test_evaluations_of_all_kinds_are_compared(runs, tmp_path):
    names = [runs / name for name in KINDS]
    results = succeed("compare", *names, "--out", tmp_path / "comparison")
    # The bounds of autoencoder and latent diffusion, which are had in different ways.
    assert results["not_comparable"] == 1
    table = (tmp_path / "comparison" / "comparison.md").read_text()
    assert "vae, step 4, 1.0 evaluations" in table
    assert "latent, step 4, unipc with 3.0 evaluations" in table


UNKNOWN = "Unrecognized options: {} (sde-jax {} RUN --help explains)"


@pytest.mark.parametrize(
    ("command", "name", "options", "said"),
    [
        ("sample", "vae", ["--sampler", "em"], UNKNOWN.format("--sampler, em", "sample")),
        ("sample", "gan", ["--steps", 5], UNKNOWN.format("--steps, 5", "sample")),
        (
            "sample",
            "latent",
            ["--trajectory"],
            "--trajectory does not apply to a latent score model.",
        ),
        ("likelihood", "gan", [], "a GAN has no likelihood."),
        ("anomalies", "gan", [], "a GAN has no likelihood."),
        (
            "likelihood",
            "flow",
            ["--t-min", 0.1],
            UNKNOWN.format("--t-min, 0.1", "likelihood"),
        ),
        (
            "evaluate",
            "gan",
            ["--features", "coordinates", "--metrics", "likelihood"],
            "a GAN has no likelihood: leave likelihood out of --metrics.",
        ),
    ],
)
def test_what_a_kind_does_not_have_is_refused(runs, command, name, options, said):
    run = runs / name
    assert refusal(command, run, *options) == f"error: {said.replace('RUN', str(run))}"


def test_a_flow_is_measured_at_its_lowest_held_out_loss(tmp_path):
    """With a learning rate that does harm, that is its first checkpoint, not its last."""
    options = ["--optimizer.learning-rate", 10, "--ema-decay", 0]
    trained = succeed("train", tiny("flow"), "--workdir", tmp_path / "run", *options)
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    losses = {line["step"]: line["held_out_loss"] for line in lines if "held_out_loss" in line}
    best = min(losses, key=losses.get)
    assert best < trained["step"]
    assert succeed("likelihood", tmp_path / "run", "--count", 16)["step"] == best


def test_parts_of_a_batch_that_a_gan_cannot_take_are_refused(tmp_path):
    for options, said in (
        (["--training.accumulate", 2], "`accumulate` must be 1 for a GAN: got 2."),
        (["--discriminator-steps", 3], "`discriminator_steps` must divide the batch of 16: got 3."),
    ):
        assert refusal("train", tiny("gan"), "--workdir", tmp_path / "run", *options) == (
            f"error: {said}"
        )
