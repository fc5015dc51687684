"""Comparisons of matchings: gradients of known spread, one expectation for all, and two runs."""

import dataclasses
import functools
import itertools
import json
import types

import flax.linen as nn
import jax
import numpy as np
import PIL.Image
import pytest
from in_process import RING, succeed
from tiny import write_run

from experiments.matching import digits_matching, mnist_matching, ring_matching
from experiments.ring import ring
from experiments.studies import matching
from experiments.studies.gradient_noise import (
    FixedTime,
    estimate,
    gradient_of,
    gradients,
    products,
    signal_to_noise,
    squared_mean,
    times_variance,
    variance,
)
from experiments.studies.matching import MatchingComparison
from sde_jax.data import Ring
from sde_jax.nets.mlp import MLPSpec
from sde_jax.nets.spec import NetworkSpec
from sde_jax.objectives import LikelihoodWeighting, UniformTimes
from sde_jax.recipes import Named
from sde_jax.recipes.matching import Denoising, Implicit, Sliced
from sde_jax.runs.catalogue import find
from sde_jax.sde import VP

BATCH, DRAWS = 32, 256
LARGE_BATCH, FEW_DRAWS = 4 * BATCH, DRAWS // 4
T = 0.3
ALPHA, SIGMA = float(VP().alpha(T)), float(VP().sigma(T))
MATCHINGS = {"denoising": Denoising(), "sliced": Sliced(), "implicit": Implicit()}


class Gain(nn.Module):
    """``gain`` times what it is shown."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic):
        return self.param("gain", nn.initializers.zeros, ()) * x


@dataclasses.dataclass(frozen=True, kw_only=True)
class GainSpec(NetworkSpec):
    """Makes a `Gain`."""

    classes = None

    def build(self):
        return Gain()


class Kept:
    """The ring's data; each batch is drawn once."""

    def __init__(self):
        self.source, self.known = Ring().load(), {}

    def stream(self, key, split, batch_size):
        name = (*np.asarray(jax.random.key_data(key)).tolist(), batch_size)
        if name not in self.known:
            self.known[name] = next(self.source.stream(key, split, batch_size))
        yield self.known[name]


KEPT = functools.cache(Kept)


def drawn(experiment, matching, params, times, batch_size, draws):
    """Gradients of the ring's data."""
    return gradients(
        jax.jit(gradient_of(experiment, matching)),
        params,
        KEPT(),
        times,
        experiment.sde,
        batch_size=batch_size,
        draws=draws,
    )


ENERGY = Ring().radius ** 2 + Ring().deviation ** 2
KNOWN = {
    # d/d gain of |gain x - noise|^2 / 2 at gain 0: -x.noise, x = alpha x0 + sigma noise.
    "denoising": (Denoising(), ALPHA**2 * ENERGY + 4 * SIGMA**2),
    # d/d gain of (|gain x|^2 - 2 sigma gain v.v) / 2 at gain 0: -sigma v.v.
    "sliced": (Sliced(projection="gaussian"), 4 * SIGMA**2),
    "exact": (Sliced(), 0.0),
    "implicit": (Implicit(), 0.0),
}


@functools.cache
def products_of_a_gain(name):
    """Of gradients at a gain of zero; of few, where all are equal."""
    matching, of_an_example = KNOWN[name]
    experiment = dataclasses.replace(ring(), sde=VP(), network=GainSpec())
    params = {"gain": np.float32(0)}
    draws = DRAWS if of_an_example else 10
    return products(drawn(experiment, matching, params, FixedTime(t=T), BATCH, draws))


@pytest.mark.parametrize(
    "name", ["denoising", pytest.param("sliced", marks=pytest.mark.slow), "exact", "implicit"]
)
def test_the_spread_of_one_parameter_is_that_of_the_closed_form(name):
    """Of a gain of zero, whose gradient has the mean -2 sigma whatever the matching."""
    found = products_of_a_gain(name)
    expected, mean = KNOWN[name][1] / BATCH, (2 * SIGMA) ** 2
    spread, square = estimate(variance, found), estimate(squared_mean, found)
    if expected == 0:
        np.testing.assert_allclose(square.value, mean, rtol=1e-5)
        assert abs(spread.value) < 1e-9
        return
    assert abs(square.value - mean) < 5 * square.stderr
    assert abs(spread.value - expected) < 5 * spread.stderr
    # Of K numbers that are about normal, the variance has the relative error sqrt(2 / (K - 1)).
    np.testing.assert_allclose(spread.stderr, spread.value * (2 / DRAWS) ** 0.5, rtol=0.35)
    ratio = estimate(signal_to_noise, found, found)
    assert abs(ratio.value - mean / expected) < 5 * ratio.stderr


def test_the_ratio_of_two_spreads_is_that_of_the_closed_forms():
    """Sliced over denoising, of the same batches."""
    sets = [products_of_a_gain(name) for name in ("sliced", "denoising")]
    ratio = estimate(times_variance, *sets)
    expected = KNOWN["sliced"][1] / KNOWN["denoising"][1]
    assert abs(ratio.value - expected) < 5 * ratio.stderr
    assert ratio.stderr < 0.2 * expected


def test_the_squared_mean_of_nothing_is_zero():
    """On average over 500 sets of ten gradients of mean 0, whose own means have not."""
    sets = np.random.default_rng(0).normal(size=(500, 10, 4))
    found = np.asarray([squared_mean(products(each)) for each in sets])
    error = found.std(ddof=1) / np.sqrt(500)
    assert abs(found.mean()) < 5 * error
    of_means = (sets.mean(axis=1) ** 2).sum(axis=1)
    assert of_means.mean() > 20 * error


@dataclasses.dataclass(frozen=True, kw_only=True)
class TooShort(Sliced):
    """Whose directions are a tenth too short."""

    def build(self, model, times, weighting):
        objective = super().build(model, times, weighting)

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Short(type(objective)):
            def directions(self, keys, x0):
                return 0.9 * super().directions(keys, x0)

        return Short(model=model, times=times, weighting=weighting)


@pytest.fixture(scope="module")
def of_the_ring():
    """Gradients of a network of the ring by every matching, at parameters of which none is 0."""
    experiment = dataclasses.replace(
        ring(), network=MLPSpec(width=8, depth=1), weighting=LikelihoodWeighting()
    )
    shapes = jax.eval_shape(lambda: experiment.model().init(jax.random.key(0), (2,)))
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: rng.normal(scale=0.4, size=leaf.shape).astype("f4"), shapes)
    matchings = MATCHINGS | {"short": TooShort()}
    times = UniformTimes(t_min=0.05)
    return {
        name: drawn(experiment, each, params, times, LARGE_BATCH, FEW_DRAWS)
        for name, each in matchings.items()
    }


def z_scores(first, second):
    """Of the mean difference of each parameter's gradient, draw by draw."""
    differences = np.float64(first) - second
    errors = differences.std(axis=0, ddof=1) / np.sqrt(FEW_DRAWS)
    return differences.mean(axis=0)[errors > 1e-7] / errors[errors > 1e-7]


@pytest.mark.parametrize("pair", list(itertools.combinations(MATCHINGS, 2)), ids="-".join)
def test_every_matching_has_the_same_expected_gradient(pair, of_the_ring):
    """Hyvarinen 2005, Vincent 2011, Song et al. 2019: each parameter within 5 standard errors."""
    z = z_scores(*(of_the_ring[name] for name in pair))
    assert len(z) > 100
    assert np.abs(z).max() < 5, np.abs(z).max()
    assert 0.7 < np.sqrt(np.mean(z**2)) < 1.5


def test_directions_that_are_too_short_are_seen(of_the_ring):
    assert np.abs(z_scores(of_the_ring["short"], of_the_ring["implicit"])).max() > 8


STUDIES = {
    "ring_matching": ring_matching(),
    "digits_matching": digits_matching(),
    "mnist_matching": mnist_matching(),
}


@pytest.mark.parametrize("name", STUDIES)
def test_runs_differ_in_their_matching_alone(name):
    """But for the steps that they are given."""
    first, *others = (find(run).experiment for run in STUDIES[name].trained)
    assert first.matching == Denoising()
    for other in others:
        assert other.matching != first.matching
        training = dataclasses.replace(first.training, steps=other.training.steps)
        same = {"training": training, "evaluation": first.evaluation}
        assert dataclasses.replace(other, matching=first.matching, **same) == dataclasses.replace(
            first, **same
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"runs": (("denoising", "ring"),)}, "^`runs` must be two or more, to be compared: got "),
        ({"draws": 1}, r"^`draws` must be at least 2, for an error: got 1\.$"),
        ({"rounds": 0}, r"^`rounds` must be at least 2, for an error: got 0\.$"),
    ],
)
def test_what_cannot_be_compared_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MatchingComparison(**{"runs": ring_matching().runs, **settings})


TINY = {
    "ring_matching": [
        *RING,
        *("--evaluation.count", 40, "--evaluation.reference-count", 40),
        *("--evaluation.sampling.sampler", "unipc", "--evaluation.sampling.steps", 2),
        *("--evaluation.sampling.grid", "log-snr"),
        *("--evaluation.metrics", "frechet"),
    ],
    "digits_matching": [
        *("--network.channels", 4, "--network.multipliers", 1),
        *("--network.attention-resolutions", "--training.steps", 2),
        *("--training.batch-size", 16, "--training.eval-examples", 16),
        *("--evaluation.count", 40, "--evaluation.sampling.steps", 2),
        *("--evaluation.sampling.grid", "log-snr"),
        *("--evaluation.features", "coordinates", "--likelihood.tolerance", 0.1),
        *("--evaluation.metrics", "frechet", "likelihood", "--evaluation.likelihood-count", 8),
    ],
}


FINDING = {"metric": "frechet_distance", "features": "coordinates", "of": "run"}
KNOWN_FINDINGS = {"findings": [{**FINDING, "value": 0.3, "stderr": 0.1}]}
KNOWN_SAMPLES = types.SimpleNamespace(data=np.random.default_rng(0).normal(size=(40, 2)))


@pytest.fixture(
    scope="module",
    params=[
        ("ring_matching", 2, "known"),
        pytest.param(("ring_matching", 3, "evaluated"), marks=pytest.mark.slow),
        pytest.param(("digits_matching", 2, "evaluated"), marks=pytest.mark.slow),
    ],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def measured(request, tmp_path_factory):
    """A study of tiny runs, what it found, and its pictures; an evaluation may be known."""
    name, count, how = request.param
    folder, study = tmp_path_factory.mktemp(name), STUDIES[name]
    brief = {"draws": 3, "times": (0.1, 0.5), "rounds": 2}
    study = dataclasses.replace(study, runs=study.runs[:count], **brief)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        for run in study.trained:
            config = succeed("train", run, "--dry-run", *TINY[name])
            write_run(Named.from_config(config), folder / run, 4)
            if how == "evaluated":
                succeed("evaluate", folder / run)
        if how == "known":
            patch.setattr(matching, "newest", lambda run: KNOWN_FINDINGS)
            patch.setattr(matching, "kept_samples", lambda run: KNOWN_SAMPLES)
        pictures = folder / "pictures"
        pictures.mkdir()
        return study, study.measure(folder, pictures), pictures


@pytest.mark.filterwarnings("ignore:the covariances of")
def test_a_study_of_tiny_runs(measured):
    study, results, pictures = measured
    assert json.loads(json.dumps(results)) == results
    methods = results["methods"]
    assert list(methods) == [title for title, _ in study.runs]
    for method in methods.values():
        assert method["findings"]
        assert method["step"]["times"]["low"] > 0
        assert [at["t"] for at in method["gradient"]["times_variance_at"]] == [0.1, 0.5]
    first = next(iter(methods.values()))
    assert first["gradient"]["times_variance"] == {"value": 1.0, "stderr": 0.0}
    assert first["step"]["times"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    for name in ("samples", "gradients"):
        with PIL.Image.open(pictures / f"{name}.png") as picture:
            assert picture.width > 400


def test_its_table_has_a_row_for_each_run(measured):
    study, results, _ = measured
    head, line, *rows = study.table(results)
    assert "Fréchet distance" in head
    assert {row.count("|") for row in (head, line, *rows)} == {head.count("|")}
    assert [row.split("|")[1].strip() for row in rows] == list(results["methods"])
