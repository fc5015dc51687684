"""Every kind of generative model by the same commands, in seconds: trained, drawn, measured."""

import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from in_process import refusal, succeed
from tiny import tiny, untrained

from sde_jax.data import Batch
from sde_jax.runs.catalogue import find
from sde_jax.runs.trained_run import open_generative
from sde_jax.training.checkpoint import Checkpoints

KINDS = ("vae", "gan", "flow", "latent")
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
def train(tmp_path_factory):
    """Finds the run of a kind, trained for four steps without a stop."""
    folder = tmp_path_factory.mktemp("kinds")

    @functools.cache
    def run(name):
        options = ["--workdir", folder / name, "--training.sample-every", 4]
        succeed("train", tiny(name), *options)
        assert (folder / name / "pictures" / "samples-4.png").is_file()
        return folder / name

    return run


@pytest.fixture(scope="module")
def evaluate(train):
    """Finds the results of an evaluation of a kind."""

    @functools.cache
    def results(name):
        likelihoods = [] if name == "gan" else ["likelihood", "--likelihood-count", 16]
        return succeed(
            *("evaluate", train(name), "--count", 32, "--features", "coordinates"),
            *("--metrics", "kernel", *likelihoods),
        )["results"]

    return results


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """Finds a run of a kind that is not trained yet."""
    folder = tmp_path_factory.mktemp("new")
    return functools.cache(lambda name: untrained(name, folder / name))


@pytest.mark.parametrize("name", [*KINDS, "conditional", "denoiser_prior"])
def test_every_kind_is_updated_drawn_and_measured_in_shapes(name):
    """The shapes alone: of the commands, see the slow tests below."""
    experiment = find(tiny(name)).experiment
    source, layout = experiment.data.load(), experiment.data.layout()
    learner = experiment.learner(layout.shape)
    state, keys = jax.eval_shape(
        lambda key: (learner.init(key), jax.random.split(key, 4)), jax.random.key(0)
    )
    x = jax.ShapeDtypeStruct((4, *layout.shape), np.float32)
    label = jax.ShapeDtypeStruct((4,), np.int32)
    after, _ = jax.eval_shape(learner.update, state, jax.random.key(0), Batch(x, label))
    assert jax.tree.map(shape_of, after) == jax.tree.map(shape_of, state)
    sampler = experiment.sampling.build() if experiment.sampling else None
    draw = experiment.sample_fn(layout, sampler, lambda: source)
    assert jax.eval_shape(draw, state.ema_params, keys, label).x.shape == x.shape
    density = experiment.density(layout, experiment.likelihood)
    assert (density is None) == (name in ("gan", "conditional"))
    if density:
        assert jax.eval_shape(density, state.ema_params, keys, x).nats.shape == (4,)


def shape_of(leaf):
    return leaf.shape, leaf.dtype


def check_that_it_goes_on(whole, copy, *training):
    """A run without its last checkpoint ends as it did before."""
    shutil.copytree(whole, copy)
    shutil.rmtree(copy / "checkpoints" / "4")
    assert succeed("train", *training, "--workdir", copy, "--resume")["step"] == 4
    states = [open_generative(run).state for run in (whole, copy)]
    jax.tree.map(np.testing.assert_array_equal, *states)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states[0]))


each_kind = pytest.mark.parametrize("name", ["vae", *slow("gan", "flow", "latent")])
each_density = pytest.mark.parametrize("name", ["vae", *slow("flow", "latent")])


@each_kind
def test_a_run_that_goes_on_ends_as_one_that_never_stopped(name, train, tmp_path):
    picture = ("--training.sample-every", 4)
    check_that_it_goes_on(train(name), tmp_path / "run", tiny(name), *picture)


@pytest.mark.slow("test_a_run_that_goes_on_ends_as_one_that_never_stopped")
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


@each_kind
def test_a_sample_depends_on_seed_and_number_alone(name, train, tmp_path):
    drawn = []
    for how in (["--batch-size", 16], ["--batch-size", 8], ["--seed", 1]):
        out = tmp_path / f"{len(drawn)}.npz"
        results = succeed("sample", train(name), "--count", 10, "--out", out, *how)
        assert results["failed"] == []
        drawn.append(np.load(out)["samples"])
    assert drawn[0].shape == (10, 8, 8, 1)
    np.testing.assert_allclose(drawn[0], drawn[1], atol=1e-4)
    assert np.abs(drawn[0] - drawn[2]).max() > 1e-3


@each_density
def test_a_likelihood_is_measured(name, train):
    results = succeed("likelihood", train(name), "--count", 16)
    assert results["count"] == 16
    assert results["failed"] == []
    assert 1 < results["bits_per_dim"] < 30


@each_density
def test_anomalies_are_told_apart(name, train, tmp_path):
    options = ("--against", "noise", "--count", 16, "--batch-size", 16)
    results = succeed("anomalies", train(name), *options, "--out", tmp_path / "noise")
    held_out, noise = results["held_out"], results["against"]["noise"]
    assert results["failed"] == []
    assert 1 < held_out["bits_per_dim"] < 30 and noise["bits_per_dim"] > 1
    assert 0 <= noise["auc"] <= 1
    assert (tmp_path / "noise.png").is_file()


@pytest.mark.slow("test_a_likelihood_is_measured")
def test_more_importance_samples_give_no_fewer_nats(train):
    """The bound of the autoencoder falls, in bits, as it gets tighter."""
    few, many = (
        succeed("likelihood", train("vae"), "--count", 64, "--importance-samples", count)
        for count in (1, 64)
    )
    assert many["bits_per_dim"] < few["bits_per_dim"]


@each_kind
def test_an_evaluation_has_its_record(name, evaluate):
    results = evaluate(name)
    assert np.isfinite(results["coordinates.kernel_distance"])
    bits = {"flow": ["bits_per_dim"], "gan": []}.get(name, ["bits_per_dim_bound"])
    assert [metric for metric in results if metric.startswith("bits")] == bits


@pytest.mark.slow("tests/command_line/test_command_evaluate.py::test_runs_are_compared")
def test_evaluations_of_all_kinds_are_compared(train, evaluate, tmp_path):
    for name in KINDS:
        evaluate(name)
    results = succeed("compare", *map(train, KINDS), "--out", tmp_path / "comparison")
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
def test_what_a_kind_does_not_have_is_refused(new, command, name, options, said):
    run = new(name)
    assert refusal(command, run, *options) == f"error: {said.replace('RUN', str(run))}"


def test_a_flow_is_opened_at_its_lowest_held_out_loss(new, tmp_path):
    run = shutil.copytree(new("flow"), tmp_path / "run")
    state = open_generative(run).state
    with Checkpoints(run / "checkpoints", keep=3) as checkpoints:
        for step, loss in ((2, 1.0), (4, 3.0)):
            at = state._replace(step=jnp.asarray(step, state.step.dtype))
            checkpoints.save(step, at, {"held_out_step": step, "held_out_loss": loss})
    assert open_generative(run).step == 2


@pytest.mark.slow("test_a_flow_is_opened_at_its_lowest_held_out_loss")
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
