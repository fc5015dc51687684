"""A run as a Python object: it does what the commands do, and refuses what they refuse."""

import csv
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from in_process import succeed
from tiny import untrained

import sde_jax
from experiments.digits import digits_classifier
from experiments.digits_others import digits_flow, digits_gan, digits_vae
from experiments.ring import ring
from sde_jax.api import run as run_module
from sde_jax.command_line import evaluate
from sde_jax.data import Digits, ImageScaling, Layout, Ring
from sde_jax.recipes import Named
from sde_jax.runs.trained_run import TrainedRun
from sde_jax.sampling import UniformGrid
from sde_jax.score import ScoreModel
from sde_jax.training import NotARunError, RunDirectory, RunExistsError


@pytest.fixture(scope="module")
def on_points(ring_run):
    return sde_jax.open_run(ring_run)


@pytest.fixture(scope="module")
def on_images(tmp_path_factory):
    return sde_jax.open_run(untrained("digits", tmp_path_factory.mktemp("digits") / "run"))


def table_of(path):
    """The columns of a table of likelihoods."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.asarray([float(row[name]) for row in rows]) for name in rows[0]}


def check_table(measured, path):
    """The likelihoods are those that a command wrote, bit by bit."""
    written = table_of(path)
    for name in ("nats", "bits_per_dim", "nfe", "probe_stderr"):
        np.testing.assert_array_equal(getattr(measured, name), written[name].astype(np.float32))


def test_a_run_says_what_it_is(on_points, ring_run):
    assert (on_points.path, on_points.name, on_points.step) == (ring_run, "ring", 4)
    assert on_points.experiment.sde == ring().sde
    assert on_points.layout == Ring().layout()
    assert [line["step"] for line in on_points.history() if "loss" in line] == [2, 4]
    assert repr(on_points) == f"<Run ring in {ring_run}, step 4>"


@pytest.mark.parametrize(
    "options",
    [pytest.param({}, marks=pytest.mark.slow), {"sampler": "unipc", "steps": 3}],
    ids=["usual", "unipc"],
)
def test_samples_of_points_are_those_of_the_command(on_points, tmp_path, options):
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    out = tmp_path / "samples.npz"
    succeed("sample", on_points.path, "--count", 5, "--seed", 3, "--out", out, *flags)
    samples = on_points.sample(jax.random.key(3), 5, **options)
    np.testing.assert_array_equal(samples.x, np.load(out)["samples"])
    fewer = on_points.sample(jax.random.key(3), 3, batch_size=8, **options)
    np.testing.assert_allclose(fewer.x, samples.x[:3], rtol=1e-5, atol=1e-6)


@pytest.mark.slow("test_samples_of_points_are_those_of_the_command")
def test_samples_of_images_are_those_of_the_command(on_images, tmp_path):
    out = tmp_path / "samples.npz"
    succeed("sample", on_images.path, "--count", 3, "--seed", 3, "--out", out)
    samples = on_images.sample(jax.random.key(3), 3)
    np.testing.assert_array_equal(samples.x, np.load(out)["samples"])
    assert 0 <= samples.x.min() <= samples.x.max() <= 1


def test_states_on_the_way_are_recorded(on_points):
    samples = on_points.sample(jax.random.key(0), 2, frames=3)
    assert samples.trajectory_times[0, 0] == 1
    assert samples.trajectory.shape == (2, 4, 2)
    np.testing.assert_allclose(samples.trajectory[:, -1], samples.x, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 8, "probes": 2},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"steps": 8}, marks=pytest.mark.slow),
        pytest.param({"probes": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_likelihoods_of_points_are_those_of_the_command(on_points, tmp_path, options):
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    out = tmp_path / "table.csv"
    succeed("likelihood", on_points.path, "--count", 4, "--seed", 5, "--out", out, *flags)
    points = next(Ring().load().batches(jax.random.key(0), "test", 4)).x
    check_table(on_points.likelihood(points, key=jax.random.key(5), **options), out)


@pytest.mark.slow("test_likelihoods_of_points_are_those_of_the_command")
def test_likelihoods_of_images_are_those_of_the_command(on_images, tmp_path):
    out = tmp_path / "table.csv"
    succeed("likelihood", on_images.path, "--count", 3, "--out", out)
    check_table(on_images.likelihood(Digits().load().images["test"][:3]), out)


def test_the_score_serves_the_samplers_of_the_library(on_points):
    """The quantity is the one that the run's own samples come from."""
    sde = on_points.experiment.sde
    sampler = sde_jax.PredictorCorrector(
        grid=UniformGrid(steps=8), predictor=sde_jax.EulerMaruyama()
    )
    keys = jax.vmap(lambda j: jax.random.fold_in(jax.random.key(1), j))(jnp.arange(4))
    by_hand = jax.jit(sampler, static_argnums=(2, 3))(keys, on_points.score(), sde, (2,))
    samples = on_points.sample(jax.random.key(1), 4, sampler="em", steps=8)
    np.testing.assert_allclose(samples.x, by_hand.x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "use",
    [
        lambda run, points: run.sample(jax.random.key(0), 2, sampler="em", steps=5).x,
        lambda run, points: run.likelihood(points, steps=9).nats,
        pytest.param(
            lambda run, points: run.likelihood(points, tolerance=0.3).nats, marks=pytest.mark.slow
        ),
    ],
    ids=["samples", "steps", "tolerance"],
)
def test_the_same_call_again_compiles_nothing(on_points, monkeypatch, use):
    calls = []
    predict = ScoreModel.predict
    monkeypatch.setattr(
        ScoreModel, "predict", lambda *args, **kw: calls.append(1) or predict(*args, **kw)
    )
    first, traced = use(on_points, np.zeros((2, 2))), len(calls)
    assert traced > 0
    np.testing.assert_array_equal(use(on_points, np.zeros((2, 2))), first)
    assert len(calls) == traced


FLAGS = [
    *("--count", 30, "--likelihood-count", 4, "--features", "coordinates"),
    *("--metrics", "frechet", "likelihood"),
]
SETTINGS = {
    "count": 30,
    "likelihood_count": 4,
    "features": ("coordinates",),
    "metrics": ("frechet", "likelihood"),
}


def test_an_evaluation_asks_what_the_command_asks(on_points, monkeypatch):
    tasks = []
    record = {"findings": [], "samples": {"failed": []}, "seconds": {}, "step": 4, "count": 30}
    for module in (run_module, evaluate):
        monkeypatch.setattr(module, "evaluate", lambda task, *_: tasks.append(task) or record)
    succeed("evaluate", on_points.path, *FLAGS)
    assert on_points.evaluate(**SETTINGS) is record
    asked, told = (dataclasses.asdict(dataclasses.replace(task, run=None)) for task in tasks)
    assert asked == told and told["settings"]["count"] == 30


@pytest.mark.slow("test_an_evaluation_asks_what_the_command_asks")
def test_an_evaluation_is_that_of_the_command(ring_copy):
    results = succeed("evaluate", ring_copy, *FLAGS)["results"]
    record = sde_jax.open_run(ring_copy).evaluate(**SETTINGS)
    found = {f["metric"]: f["value"] for f in record["findings"] if f["of"] == "run"}
    assert found["frechet_distance"] == results["coordinates.frechet_distance"]
    assert found["bits_per_dim"] == results["bits_per_dim"]


def refusal(error, call, *args, **options):
    """The one line of the error that a call raises."""
    with pytest.raises(error) as raised:
        call(*args, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"stesp": 3}, "`stesp` is not a setting of this run: its settings are sampler, steps,"),
        ({"snr": 0.1}, "`snr` does not apply to the sampler em: its options are steps."),
        ({"sampler": "ode", "steps": 8}, "to the sampler ode: its options are tolerance."),
        ({"sampler": "emm"}, "`sampler` must be one of em, reverse-diffusion,"),
        ({"sampler": "published"}, "`sampler` must not be published: the run is of no published"),
        ({"steps": 0}, "`steps` must be positive and finite: got steps=0"),
        ({"steps": "many"}, "`steps` must be of type int: got 'many'"),
        ({"count": 0}, "`count` must be at least 1: got 0"),
        ({"batch_size": 0}, "`batch_size` must be at least 1: got 0"),
    ],
    ids=str,
)  # fmt: skip
def test_settings_of_samples_that_do_not_fit(on_points, options, complaint):
    options = {"count": 2, **options}
    assert complaint in refusal(ValueError, on_points.sample, jax.random.key(0), **options)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"snr": 3}, "`snr` is not a setting of this run: its settings are t_min, tolerance,"),
        ({"tolerance": -1.0}, "`tolerance` must be positive"),
        ({"probes": 1.5}, "`probes` must be of type int: got 1.5"),
        ({"steps": 7}, "`steps` must be at least 8: got 7"),
        ({"steps": 8, "tolerance": 0.1}, "`tolerance` is of the adaptive solver"),
        ({"batch_size": 0}, "`batch_size` must be at least 1: got 0"),
    ],
    ids=str,
)
def test_settings_of_likelihoods_that_do_not_fit(on_points, options, complaint):
    assert complaint in refusal(ValueError, on_points.likelihood, np.zeros((2, 2)), **options)


@pytest.mark.parametrize(
    ("key", "got"),
    [
        (0, "a int"),
        (jax.random.split(jax.random.key(0)), "keys of shape [2]"),
        (np.zeros(2), "float64 [2]"),
    ],
    ids=["seed", "batch", "numbers"],
)
def test_keys_that_are_not_one(on_points, key, got):
    said = f"`key` must be one key, such as `jax.random.key(0)`: got {got}."
    assert refusal(ValueError, on_points.sample, key, 2) == said
    assert refusal(ValueError, on_points.likelihood, np.zeros((2, 2)), key=key) == said


def test_a_likelihood_of_a_run_is_not_traced(on_points):
    call = jax.grad(lambda points: on_points.likelihood(points).nats.sum())
    assert "call a `Likelihood` with the score" in refusal(ValueError, call, jnp.zeros((2, 2)))


@pytest.mark.parametrize(
    ("points", "complaint"),
    [
        (np.zeros((2, 3)), "`data` must have the shape [count, 2]: got [2, 3]"),
        (np.zeros(2), "`data` must have the shape [count, 2]: got [2]"),
        (np.zeros((0, 2)), "`data` must have the shape [count, 2]: got [0, 2]"),
        (np.zeros((2, 2), complex), "`data` must be real numbers: got complex128"),
        (np.asarray([["a", "b"]]), "`data` must be real numbers: got <U1"),
    ],
)
def test_points_that_do_not_fit(on_points, points, complaint):
    assert complaint in refusal(ValueError, on_points.likelihood, points)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (np.zeros((2, 8, 8, 1)), "to 16: got float64. For images in [0, 1]: `np.rint(images * 16)"),
        (np.zeros((2, 8, 8), int), "`data` must have the shape [count, 8, 8, 1]: got [2, 8, 8]"),
        (np.full((2, 8, 8, 1), 17), "integer grey levels from 0 to 16: got 17 to 17"),
        (np.full((2, 8, 8, 1), -1), "integer grey levels from 0 to 16: got -1 to -1"),
        (np.zeros((2, 8, 8, 1), bool), "integer grey levels from 0 to 16: got bool"),
    ],
)
def test_images_that_do_not_fit(on_images, images, complaint):
    assert complaint in refusal(ValueError, on_images.likelihood, images)


def test_a_classifier_has_none_of_it(tmp_path):
    run = run_of(digits_classifier(), tmp_path)
    images = np.zeros((2, 8, 8, 1), int)
    key = jax.random.key(0)
    said = f"{run.path} is the run of a classifier: it has no "
    assert refusal(TypeError, run.sample, key, 2) == f"{said}samples."
    assert refusal(TypeError, run.likelihood, images) == f"{said}likelihood."
    assert refusal(TypeError, run.evaluate) == f"{said}samples."
    assert refusal(TypeError, run.score) == f"{said}score."


def run_of(experiment, tmp_path):
    """A run whose parameters are not needed."""
    layout = Layout((8, 8, 1), ImageScaling(levels=17))
    directory = RunDirectory(tmp_path, {})
    return sde_jax.Run(TrainedRun(directory, Named("x", experiment), layout, None))


def test_other_models_have_less(tmp_path):
    key, images = jax.random.key(0), np.zeros((2, 8, 8, 1), int)
    vae, flow, gan = (run_of(make(), tmp_path) for make in (digits_vae, digits_flow, digits_gan))
    assert "it has no settings" in refusal(ValueError, vae.sample, key, 2, steps=3)
    assert "`frames` must be 0 for a VAE: got 2" in refusal(
        ValueError, vae.sample, key, 2, frames=2
    )
    assert "it has no likelihood in fixed `steps`" in refusal(
        TypeError, vae.likelihood, images, steps=8
    )
    assert "its settings are importance_samples" in refusal(
        ValueError, vae.likelihood, images, probes=2
    )
    assert "it has no settings" in refusal(ValueError, flow.likelihood, images, probes=2)
    assert "it has no score" in refusal(TypeError, flow.score)


def test_settings_of_an_evaluation_that_do_not_fit(on_points):
    assert "`conut` is not a setting" in refusal(ValueError, on_points.evaluate, conut=3)
    assert "`count` must be at least 30" in refusal(ValueError, on_points.evaluate, count=3)


def test_a_folder_that_holds_no_run(tmp_path):
    assert "holds no run" in refusal(NotARunError, sde_jax.open_run, tmp_path)


def test_an_experiment_is_trained_continued_and_not_overwritten(tmp_path):
    small = dataclasses.replace(
        ring(),
        network=dataclasses.replace(ring().network, width=16, depth=1),  # as that of `ring_run`
        training=dataclasses.replace(
            ring().training, steps=1, batch_size=16, eval_examples=16, sample_every=0
        ),
    )
    longer = dataclasses.replace(small, training=dataclasses.replace(small.training, steps=2))
    folder = str(tmp_path / "run")
    assert sde_jax.train(small, folder, name="mine").name == "mine"
    assert sde_jax.train(longer, folder, name="mine").step == 2
    assert sde_jax.open_run(folder).experiment == longer
    assert "holds a run already" in refusal(
        RunExistsError, sde_jax.train, longer, folder, resume=False
    )
