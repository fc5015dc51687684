"""Conditional runs: samples, densities and modes of a linear Gaussian posterior, in closed form."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from in_process import refusal, succeed

import sde_jax
from sde_jax.api import default_experiments, fitting
from sde_jax.api.given_array import given_array
from sde_jax.api.run import Run
from sde_jax.arrays import expand_like, pytree
from sde_jax.nets import MLPSpec
from sde_jax.recipes import ScoreExperiment
from sde_jax.sde import VP

MEAN, PRIOR = np.array([40.0, -3.0]), np.diag([9.0, 0.04])
MATRIX, NOISE = np.array([[1.0, 5.0], [0.0, 10.0], [-2.0, 0.0]]), np.diag([1.0, 0.25, 4.0])
GAIN = PRIOR @ MATRIX.T @ np.linalg.inv(MATRIX @ PRIOR @ MATRIX.T + NOISE)
SPREAD = PRIOR - GAIN @ MATRIX @ PRIOR


def simulated(count, seed=0):
    """Parameters, and what a linear simulator with Gaussian noise makes of them."""
    rng = np.random.default_rng(seed)
    parameters = rng.multivariate_normal(MEAN, PRIOR, count)
    noise = rng.multivariate_normal(np.zeros(3), NOISE, count)
    return parameters, parameters @ MATRIX.T + noise


def posterior_mean(observed):
    """The mean of the posterior, and its mode."""
    return MEAN[None] + (observed - (MEAN @ MATRIX.T)[None]) @ GAIN.T


def log_posterior(parameters, observed):
    """The log density of the posterior, by scipy."""
    return scipy.stats.multivariate_normal(cov=SPREAD).logpdf(parameters - posterior_mean(observed))


@pytree
@dataclasses.dataclass(frozen=True)
class PosteriorScore:
    """The exact score of the posterior in model coordinates; without a condition, of the prior."""

    scaling: Any = dataclasses.field(metadata={"static": True})
    sde: VP = dataclasses.field(metadata={"static": True})
    condition: Any = None

    def __call__(self, x, t):
        widths, centers = np.array(self.scaling.widths), np.array(self.scaling.centers)
        spread, mean = PRIOR, MEAN[None]
        if self.condition is not None:
            assert self.condition.vector.shape == (len(x), 3)
            spread, mean = SPREAD, posterior_mean(self.condition.vector)
        mean = (mean - centers[None]) / widths[None]
        values, vectors = np.linalg.eigh(spread / np.outer(widths, widths))
        alpha, sigma = (expand_like(c(jnp.asarray(t)), x) for c in (self.sde.alpha, self.sde.sigma))
        along = (x - alpha * mean) @ vectors / (alpha**2 * values[None] + sigma**2)
        return -(along @ vectors.T).astype(x.dtype)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exact(ScoreExperiment):
    """An experiment whose score is exact, whatever its parameters."""

    def score(self, params, condition=None):
        return PosteriorScore(self.data.measured.scaling, self.sde, condition)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run of two updates on 400 simulations."""
    with pytest.MonkeyPatch.context() as patch:
        small = MLPSpec(width=8, depth=1)
        patch.setattr(default_experiments, "network_for", lambda *_: small)
        workdir = tmp_path_factory.mktemp("conditions") / "run"
        return sde_jax.fit(*simulated(400), workdir=workdir, steps=2)


@pytest.fixture(scope="module")
def exact(fitted):
    """The same run with an exact score, without the start of the flow."""
    opened = fitted._opened
    fields = {
        f.name: getattr(opened.experiment, f.name) for f in dataclasses.fields(ScoreExperiment)
    }
    sde = VP(beta_max=40.0)
    return Run(
        dataclasses.replace(
            opened,
            named=dataclasses.replace(opened.named, experiment=Exact(**fields | {"sde": sde})),
        )
    )


def test_the_network_takes_the_measured_vectors(fitted):
    order = np.random.default_rng(0).permutation(400)[40:]
    observed = simulated(400)[1][order]
    vector = fitted.experiment.network.vector
    np.testing.assert_allclose(vector.mean, observed.mean(axis=0))
    np.testing.assert_allclose(vector.deviation, observed.std(axis=0))
    source = fitted.experiment.data.load()
    batch = next(source.batches(jax.random.key(0), "test", 5))
    parameters = source.scaling.to_unit(batch.x)
    rows = np.random.default_rng(0).permutation(400)[:5]
    np.testing.assert_allclose(parameters, simulated(400)[0][rows], rtol=1e-5)
    np.testing.assert_allclose(batch.condition, simulated(400)[1][rows], rtol=1e-6)
    assert fitted._opened.params["VectorEmbedding_0"]


def test_samples_are_those_of_each_condition(exact):
    _, observed = simulated(600, seed=1)
    samples = exact.sample(jax.random.key(0), 600, observed).x
    left = samples - posterior_mean(observed)
    np.testing.assert_allclose(
        left.mean(axis=0), 0, atol=4 * np.sqrt(SPREAD.diagonal().max() / 600)
    )
    np.testing.assert_allclose(np.cov(left.T), SPREAD, rtol=0.25, atol=0.05 * SPREAD.max())
    assert np.corrcoef(samples[:, 0], posterior_mean(observed)[:, 0])[0, 1] > 0.9
    one = exact.sample(jax.random.key(0), 3, observed[0]).x
    each = exact.sample(jax.random.key(0), 3, np.tile(observed[0], (3, 1))).x
    np.testing.assert_allclose(one, each, rtol=1e-6)
    np.testing.assert_allclose(one[0], samples[0], rtol=1e-5)


def test_densities_are_those_of_each_condition(exact):
    parameters, observed = simulated(8, seed=2)
    wanted = log_posterior(parameters, observed)
    found = exact.log_density(parameters, observed, t_min=1e-5, tolerance=1e-6)
    np.testing.assert_allclose(found, wanted, atol=5e-3)
    one = exact.log_density(parameters, observed[:1], t_min=1e-5, tolerance=1e-6)
    np.testing.assert_allclose(one, log_posterior(parameters, observed[:1]), atol=5e-3)
    fixed = exact.log_density(parameters, observed, t_min=1e-5, steps=64)
    np.testing.assert_allclose(fixed, wanted, atol=0.05)


def test_modes_are_those_of_each_condition(exact):
    _, observed = simulated(2, seed=3)
    found = exact.maximum(observed, t_min=1e-4)
    deviations = np.sqrt(SPREAD.diagonal())
    np.testing.assert_allclose(
        found.x / deviations, posterior_mean(observed) / deviations, atol=0.02
    )
    np.testing.assert_allclose(found.nats, log_posterior(found.x, observed), atol=0.01)
    alone = exact.maximum(observed[1], t_min=1e-4)
    assert alone.x.shape == (2,)
    np.testing.assert_allclose(alone.x, found.x[1], rtol=1e-4)


def test_guidance_extrapolates_from_the_score_without_a_condition(exact):
    _, observed = simulated(1, seed=4)
    plain = exact.sample(jax.random.key(0), 200, observed).x
    guided = exact.sample(jax.random.key(0), 200, observed, weight=1.0).x
    # Guidance by w moves the mean of Gaussians away from the prior's and narrows them.
    away = (plain - MEAN).mean(axis=0) / np.sqrt(SPREAD.diagonal())
    further = (guided - plain).mean(axis=0) / np.sqrt(SPREAD.diagonal())
    largest = np.abs(away).argmax()
    assert further[largest] * away[largest] > 0
    assert guided.std(axis=0)[largest] < plain.std(axis=0)[largest]


@pytest.mark.slow("test_commands_refuse_what_does_not_fit")
def test_commands_take_the_conditions_of_a_file(fitted, tmp_path):
    parameters, observed = simulated(4, seed=5)
    np.save(tmp_path / "observed.npy", observed)
    options = ("--condition", tmp_path / "observed.npy")
    out = tmp_path / "samples.npz"
    succeed("sample", fitted.path, *options, "--count", 4, "--weight", 0.5, "--out", out)
    samples = fitted.sample(jax.random.key(0), 4, observed, weight=0.5).x
    np.testing.assert_allclose(np.load(out)["samples"], samples, rtol=1e-10)
    held_out = np.random.default_rng(0).permutation(400)[:4]
    given, others = simulated(400)[0][held_out], simulated(400)[1][held_out]
    for asked, rows in (((), others), (options, observed)):
        table = tmp_path / f"{len(asked)}.csv"
        succeed("likelihood", fitted.path, "--count", 4, *asked, "--out", table)
        nats = np.genfromtxt(table, delimiter=",", names=True)["nats"]
        np.testing.assert_allclose(nats, fitted.log_density(given, rows), rtol=1e-5)


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        (None, "must be given, a row of 3 numbers, one for all or one for each of 5 samples"),
        (np.zeros(2), "must be a row of 3 numbers, or several [rows, 3]: got the shape [2]"),
        (np.zeros((5, 4)), "or several [rows, 3]: got the shape [5, 4]"),
        (np.zeros((4, 3)), "one row for all or one for each of 5 samples: it has 4 rows"),
        (np.array([1, np.nan, 3]), "must be finite: 1 numbers are not, the first at [0, 1]"),
        (np.array(["a"]), "must be real numbers"),
    ],
    ids=["none", "narrow", "wide", "rows", "missing", "text"],
)
def test_conditions_that_do_not_fit_are_refused(fitted, condition, complaint):
    with pytest.raises(ValueError) as caught:
        fitted.sample(jax.random.key(0), 5, condition)
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


def test_commands_refuse_what_does_not_fit(fitted, ring_run, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros((1, 4)))
    assert "`condition` must be given, a row of 3 numbers" in refusal("sample", fitted.path)
    for command in ("likelihood", "evaluate"):
        said = refusal(command, fitted.path, "--condition", tmp_path / "wide.npy")
        assert "or several [rows, 3]: got the shape [1, 4]" in said
    said = refusal("sample", ring_run, "--condition", tmp_path / "wide.npy")
    assert "the run was trained without conditions" in said
    assert "is no file" in refusal("sample", fitted.path, "--condition", tmp_path / "none.npy")


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        (np.zeros((30, 2)), "`condition` has 2 of 2 columns that are constant"),
        (np.ones(30), r"or class labels \[count\] of integers: it is float64 \[30\]"),
        (np.ones((29, 2)), "must hold a condition for each of 30 examples of `data`: it holds 29"),
        (np.arange(30) - 1, "must hold class labels from 0 to 9,999: it holds -1 to 28"),
        (np.where(np.arange(60).reshape(30, 2) == 7, np.nan, 1), "1 missing value, .* column 1"),
        (1e9 + np.random.default_rng(0).normal(size=(30, 1)), "too little for float32: subtract"),
    ],
    ids=["constant", "numbers", "count", "labels", "missing", "narrow"],
)
def test_conditions_that_cannot_be_fitted(tmp_path, condition, complaint):
    with pytest.raises(ValueError, match=complaint):
        sde_jax.fit(simulated(30)[0], condition, workdir=tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()


def test_other_conditions_are_other_data(fitted):
    parameters, observed = simulated(400)
    assert fitting.fit(parameters, observed, workdir=fitted.path).step == 2
    with pytest.raises(ValueError, match="holds a run on other data"):
        sde_jax.fit(parameters, observed + 1e-9, workdir=fitted.path)
    with pytest.raises(ValueError, match="holds a run on other data"):
        sde_jax.fit(parameters, workdir=fitted.path)


def test_images_have_labels_or_vectors(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), np.uint8)
    rows = np.random.default_rng(0).permutation(30)[:3]
    for condition, names in ((np.arange(30) % 3, "label"), (simulated(30)[1], "condition")):
        given = given_array(images, condition, tmp_path, "none")
        network = fitting._default_experiment(given.spec, 27).network
        assert (network.classes == 3) == (names == "label") == (network.vector is None)
        batch = next(given.source.batches(jax.random.key(0), "test", 3))
        np.testing.assert_array_equal(given.source.scaling.to_levels(batch.x), images[rows])
        np.testing.assert_allclose(getattr(batch, names), condition[rows], rtol=1e-6)


@pytest.mark.slow("test_images_have_labels_or_vectors")
def test_labels_are_conditions(tmp_path, monkeypatch):
    monkeypatch.setattr(default_experiments, "network_for", lambda *_: MLPSpec(width=8, depth=1))
    labels = np.arange(40) % 3
    run = sde_jax.fit(simulated(40)[0], labels, workdir=tmp_path / "run", steps=1)
    assert run.experiment.network.classes == 3 and run.experiment.data.load().classes == 3
    batch = next(run.experiment.data.load().batches(jax.random.key(0), "test", 4))
    rows = np.random.default_rng(0).permutation(40)[:4]
    np.testing.assert_array_equal(batch.label, labels[rows])
    each = run.sample(jax.random.key(0), 3, [0, 1, 2], weight=1.0, steps=2).x
    one = run.sample(jax.random.key(0), 3, 1, weight=1.0, steps=2).x
    np.testing.assert_allclose(one[1], each[1], rtol=1e-6)
    assert run.sample(jax.random.key(0), 1, steps=2).x.shape == (1, 2)
    with pytest.raises(ValueError, match="must be class labels from 0 to 2: got 3"):
        run.sample(jax.random.key(0), 1, 3)


@pytest.mark.slow("test_densities_are_those_of_each_condition")
def test_a_posterior_is_learned(tmp_path):
    """With a fraction of the simulations and updates that a user would make."""
    run = sde_jax.fit(*simulated(3000), workdir=tmp_path / "run", steps=800)
    parameters, observed = simulated(500, seed=6)
    gap = log_posterior(parameters, observed) - run.log_density(parameters, observed)
    assert gap.mean() < 0.2
    mode = run.maximum(observed[0]).x
    deviations = np.sqrt(SPREAD.diagonal())
    assert np.abs((mode - posterior_mean(observed[0])) / deviations).max() < 0.8
