"""`fit` of numbers: a run in data units, continued after a kill; its densities and its mode."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from in_process import refusal, run_command, succeed

import sde_jax
from sde_jax.api import default_experiments, fitting
from sde_jax.api.default_experiments import network_for
from sde_jax.api.mode import find_maxima
from sde_jax.data import Dequantize, NumberFile
from sde_jax.nets import MLPSpec
from sde_jax.recipes import LikelihoodSettings
from sde_jax.score import GaussianMixture, MixtureScore
from sde_jax.training.metrics_log import MetricsLog

MEAN, DEVIATION = np.array([1e6, -3.0]), np.array([50.0, 0.2])


def table(count=60, seed=0):
    """Correlated normal numbers far from zero."""
    noise = np.random.default_rng(seed).normal(size=(count, 2))
    noise[:, 1] = 0.6 * noise[:, 0] + 0.8 * noise[:, 1]
    return MEAN + DEVIATION * noise


@pytest.fixture(scope="module")
def small():
    """A narrow network, four updates, no timing, and numbers that are read from their file."""
    with pytest.MonkeyPatch.context() as patch:
        usual = default_experiments.of_numbers

        def experiment(data, shape, train_count):
            whole = usual(dataclasses.replace(data, keep="file"), shape, train_count)
            likelihood = LikelihoodSettings(t_min=0.01, tolerance=0.3, trace="exact")
            network = MLPSpec(width=8, depth=1)
            return dataclasses.replace(whole, network=network, likelihood=likelihood)

        patch.setattr(fitting, "of_numbers", experiment)
        patch.setattr(fitting, "LEAST_STEPS", 4)
        patch.setattr(fitting, "_seconds", lambda *_: (0.0, 1e6))
        yield


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    """The run of the table."""
    return sde_jax.fit(table(), workdir=tmp_path_factory.mktemp("numbers") / "run", minutes=0.01)


class Killed(BaseException):
    """The end of the process."""


def test_killed_and_called_again_it_ends_as_if_it_never_was(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:

        def killed(*_, **__):
            raise Killed

        patch.setattr(MetricsLog, "write", killed)
        with pytest.raises(Killed):
            sde_jax.fit(table(), workdir=tmp_path / "killed", minutes=0.01)
    moved = (tmp_path / "killed").rename(tmp_path / "moved")
    again = sde_jax.fit(table(), workdir=moved, minutes=0.01)
    jax.tree.map(np.testing.assert_array_equal, again.params, run.params)
    with pytest.raises(ValueError, match="holds a run on other data: give another `workdir`"):
        sde_jax.fit(table(seed=1), workdir=moved)


def test_samples_and_densities_are_those_of_the_commands_in_data_units(run, tmp_path):
    samples = run.sample(jax.random.key(0), 16, sampler="unipc", steps=4)
    assert samples.x.dtype == np.float64
    assert np.all(np.abs(samples.x - MEAN) < 1000 * DEVIATION)
    succeed("sample", run.path, "--count", 16, "--steps", 4, "--out", tmp_path / "s.npz")
    written = np.load(tmp_path / "s.npz")["samples"]
    np.testing.assert_allclose(written, samples.x, rtol=1e-12)
    out = tmp_path / "table.csv"
    found = succeed("likelihood", run.path, "--out", out)
    held_out = table()[np.random.default_rng(0).permutation(60)[:6]]
    nats = run.log_density(held_out)
    columns = np.genfromtxt(out, delimiter=",", names=True)
    assert columns.dtype.names == ("index", "nats", "probe_stderr", "nfe")
    np.testing.assert_allclose(columns["nats"], nats, rtol=1e-6)
    assert found["nats"] == pytest.approx(nats.mean(), rel=1e-6)
    assert found["stderr"] == pytest.approx(nats.std(ddof=1) / 6**0.5, rel=1e-5)
    assert found["probe_stderr"] == 0 and found["measures"] == "density of the data"
    with pytest.raises(
        ValueError, match=r"must be finite: 1 values are not, the first at \[1, 0\]"
    ):
        run.log_density(np.array([[1.0, 2.0], [np.nan, 2.0]]))


def test_a_run_opens_without_its_data(run, tmp_path):
    stored = json.loads((run.path / "config.json").read_text())["experiment"]["data"]
    np.testing.assert_allclose(stored["measured"]["scaling"]["centers"], MEAN, rtol=0.02)
    data = (run.path / "data.npy").rename(tmp_path / "elsewhere.npy")
    try:
        assert sde_jax.open_run(run.path).sample(jax.random.key(0), 1, steps=4).x.shape == (1, 2)
        assert "data.npy is no file. --data.path says where" in refusal("likelihood", run.path)
        assert succeed("likelihood", run.path, "--data.path", data, "--count", 2)["count"] == 2
    finally:
        data.rename(run.path / "data.npy")


@dataclasses.dataclass(frozen=True)
class _Exact:
    """A run whose score is exact."""

    trained: object
    score: object

    def __getattr__(self, name):
        return getattr(self.trained, name)


@pytest.mark.parametrize("log", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_mode_of_an_exact_score_is_that_of_the_density(run, log):
    """Of a Gaussian its mean, of numbers with normal logarithms exp(mean - covariance 1)."""
    inner = run._opened
    scaling = dataclasses.replace(
        inner.layout.scaling, centers=(0.3, -1.0), widths=(0.5, 0.8), log=log
    )
    layout = inner.layout._replace(scaling=scaling)
    mean, covariance = np.array([0.5, -0.2]), np.array([[0.5, 0.2], [0.2, 0.4]])
    mixture = GaussianMixture.from_covariances(
        np.ones(1, "f4"), mean[None].astype("f4"), covariance[None].astype("f4")
    )
    score = MixtureScore(mixture, inner.experiment.sde)
    exact = _Exact(inner, score)
    object.__setattr__(exact, "layout", layout)
    draws = np.random.default_rng(0).multivariate_normal(mean, covariance, 256).astype("f4")
    samples = type("Drawn", (), {"x": draws})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sde_jax.api.mode.draw_all", lambda *_, **__: samples)
        settings = dataclasses.replace(inner.experiment.likelihood, t_min=1e-4)
        found = find_maxima(exact, settings, jax.random.key(0))
    widths, centers = np.array(scaling.widths), np.array(scaling.centers)
    middle, spread = mean * widths + centers, covariance * np.outer(widths, widths)
    wanted = np.exp(middle - spread.sum(axis=1)) if log else middle
    np.testing.assert_allclose(found.x, wanted[None], atol=0.02)
    logs = np.log(wanted) if log else wanted
    nats = scipy.stats.multivariate_normal(middle, spread).logpdf(logs) - log * logs.sum()
    assert found.nats == pytest.approx(nats, abs=0.01)


def test_integers_have_no_mode(run):
    whole = dataclasses.replace(run._opened.layout.scaling, integers=(True, True))
    exact = _Exact(run._opened, None)
    object.__setattr__(exact, "layout", run.layout._replace(scaling=whole))
    with pytest.raises(ValueError, match="`maximum` needs continuous data"):
        find_maxima(exact, run.experiment.likelihood, jax.random.key(0))
    assert Dequantize(steps=whole.steps).steps == pytest.approx(1 / np.array(whole.widths))


@pytest.mark.parametrize("shape", [(5,), (50, 2), (9, 24, 1), (8, 5, 7, 1)])
def test_every_shape_has_a_network(shape):
    model = network_for(shape, 1000).build()
    x, t = jax.ShapeDtypeStruct((2, *shape), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.float32)
    output, params = jax.eval_shape(model.init_with_output, jax.random.key(0), x, t)
    assert output.shape == x.shape
    attends = any("Attention" in name for name in params["params"])
    assert attends == (len(shape) > 1)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (
            np.zeros((5000, 1, 128)),
            r"the shape of an example is \[1, 128\]. Channels",
        ),
        (table()[:3], "`data` must hold at least 20 examples: it holds 3"),
        (np.where(np.arange(120).reshape(60, 2) == 35, np.nan, table()), "row 17, column 1"),
        (table()[:, 0], r"`data` must have the shape \[examples, ..., channels\]: it has \[60\]"),
        (np.array([{}, 1], object)[:, None], "`data` must hold real numbers: it holds object"),
    ],
)
def test_numbers_that_cannot_be_fitted(tmp_path, data, complaint):
    with pytest.raises(ValueError, match=complaint):
        sde_jax.fit(data, workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_few_examples_are_not_seen_forever():
    steps = [
        default_experiments.of_numbers(NumberFile(), (3,), count).training.steps
        for count in (900, 9_000, 900_000)
    ]
    assert steps[0] <= steps[1] <= steps[2] and steps[0] < steps[2]
    assert steps[0] * 256 < 1000 * 900


def test_a_file_of_numbers_is_described(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = table()
    values[17, 1] = np.nan
    np.save("x.npy", values)
    outcome = run_command("data", "show", "x.npy")
    found = outcome.results
    assert (found["examples"], found["shape"], found["dtype"]) == (60, [2], "float64")
    first, second = found["channels"]
    assert first["mean"] == pytest.approx(values[:, 0].mean(), rel=1e-12)
    assert first["deviation"] == pytest.approx(values[:, 0].std(), rel=1e-9)
    assert (second["missing"], second["most"]) == (1, np.nanmax(values[:, 1]))
    assert "1 missing value, the first in row 17, column 1" in found["refusal"]
    assert outcome.stdout.splitlines()[0] == "60 examples of shape [2], float64"
    assert (tmp_path / found["out"]).is_file()
    np.savez("y.npz", a=values, b=values)
    assert "holds 2 arrays: `array` must be one of a, b" in refusal("data", "show", "y.npz")
    shown = succeed("data", "show", "y.npz", "--array", "a", "--columns", "0")
    assert shown["refusal"] is None and len(shown["channels"]) == 1
