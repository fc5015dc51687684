"""Tests of the measured quantities, and of checks that must be able to fail."""

import sys
import types

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import conditions, cost, few_steps, few_steps_trained, network, sampling, sharding
from benchmarks.ddpmpp import M, S, example_inputs, initial_state, output_difference
from benchmarks.row import BenchmarkOptions
from benchmarks.timing import CompiledProgram
from benchmarks.training_step import check_loss_falls
from sde_jax.metrics import FrechetDistance
from sde_jax.score import MixtureScore
from sde_jax.sde import VP


def test_networks_have_the_sizes_that_the_peers_were_measured_at():
    for size, millions in ((S, 2.98), (M, 9.86)):
        module = size.spec.build()
        params = jax.eval_shape(
            module.init, jax.random.key(0), jnp.zeros((1, *size.shape)), jnp.zeros(1)
        )
        count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(params))
        assert count / 1e6 == pytest.approx(millions, abs=0.006)


def test_initial_state_is_that_of_the_learner_except_for_its_parameters():
    learner = network.timed_experiment(S).learner(S.shape)
    params = example_inputs(S, 1).params
    state = initial_state(learner)
    expected = jax.eval_shape(learner.init, jax.random.key(0))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), expected
    )
    trees = (params, state.params, state.ema_params)
    for example, leaf, average in zip(*map(jax.tree.leaves, trees), strict=True):
        np.testing.assert_array_equal(leaf, example)
        np.testing.assert_array_equal(leaf, average)
        assert leaf is not average


def test_parameters_preserve_the_scale_of_their_inputs():
    params = example_inputs(S, 1).params
    kernel = params["ResidualBlock_0"]["Conv_0"]["kernel"]
    assert kernel.std() == pytest.approx(1 / np.sqrt(9 * 64), rel=0.02)
    assert params["GroupNorm_0"]["scale"].mean() == pytest.approx(1, abs=0.03)
    assert 0.02 < params["Dense_0"]["bias"].std() < 0.08


def test_operations_are_two_for_each_multiplication():
    # PyTorch counts .60 G; XLA excludes operations on the padding.
    assert network.evaluation_flops(S, 1) == pytest.approx(0.6e9, rel=0.15)
    assert network.evaluation_flops(S, 2) == pytest.approx(
        2 * network.evaluation_flops(S, 1), rel=0.01
    )


def test_a_shard_is_less_than_a_seventh_of_the_state():
    """Small arrays are whole on each of eight devices."""
    row = sharding.row("a network", network.timed_experiment(S))
    assert row.peak_bytes is None
    assert 7 < row.ratio.value < 8


def test_different_outputs_are_refused():
    output = np.random.default_rng(0).normal(size=(4, 8))
    assert output_difference(output, output) == 0
    with pytest.raises(AssertionError, match="differ"):
        output_difference(output, output + 1e-3)


def test_loss_that_does_not_fall_is_refused():
    assert check_loss_falls([jnp.asarray(1.0), jnp.asarray(0.5)]).endswith(
        "1.000 to 0.500 in 2 steps"
    )
    for last in (1.5, np.nan):
        with pytest.raises(AssertionError, match="the loss went"):
            check_loss_falls([jnp.asarray(1.0), jnp.asarray(last)])


def test_utilisation_is_missing_without_a_gpu():
    row = network.utilisation()
    assert "GPU" in row.missing
    assert row.at_least == 0.35


def test_output_that_depends_on_its_place_is_refused():
    output = jnp.arange(6.0).reshape(3, 2)
    program = CompiledProgram(None, 1.0, None)
    good = cost.Evaluation(lambda: output, lambda: output[::-1], program)
    bad = cost.Evaluation(lambda: output, lambda: output, program)
    assert "same" in cost.check_reversed(good)
    with pytest.raises(AssertionError, match="differ"):
        cost.check_reversed(bad)


def test_error_is_a_root_mean_square_and_the_ratio_is_of_pairs():
    rng = np.random.default_rng(1)
    squares = rng.chisquare(5, 400)
    ours = few_steps.Errors(squares)
    assert ours.rms.value == pytest.approx(np.sqrt(squares.mean()))
    draws = [np.sqrt(rng.choice(squares, 400).mean()) for _ in range(2000)]
    assert ours.rms.high - ours.rms.value == pytest.approx(np.std(draws), rel=0.06)
    # Errors that are three times as large for every sample have an exact ratio.
    ratio = ours.times_less_than(few_steps.Errors(9 * squares))
    assert ratio.value == pytest.approx(3)
    assert ratio.high - ratio.low < 1e-9
    other = few_steps.Errors(rng.chisquare(5, 400))
    picks = rng.integers(0, 400, (2000, 400))
    ratios = np.sqrt(other.squares[picks].mean(axis=1) / squares[picks].mean(axis=1))
    ratio = ours.times_less_than(other)
    assert (ratio.high - ratio.low) / 2 == pytest.approx(ratios.std(), rel=0.06)


def test_only_the_default_and_the_best_spacing_have_a_target():
    known = few_steps.Reference(np.zeros((8, 2)), "known")
    squares = np.linspace(1.0, 2.0, 8)
    peers = {
        name: few_steps.Errors(factor * squares)
        for name, factor in {"by default": 4, "karras": 9, "lu": 2}.items()
    }
    rows = list(few_steps.compare_with_diffusers(10, few_steps.Errors(squares), peers, known))
    assert [row.at_least for row in rows] == [1.0, None, 1.0]
    assert [row.ratio.value for row in rows] == pytest.approx([2, 3, 2**0.5])
    assert all(row.checked == "known" for row in rows)


@pytest.mark.parametrize("name", ["torch", "diffusers"])
def test_missing_scheduler_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "benchmarks.diffusers_peer", raising=False)
    known = few_steps.Reference(np.zeros((2, 64)), "known")
    missing = few_steps.diffusers_errors(10, known, None)
    assert missing.endswith(": pip install -e '.[benchmark]'")
    ours = few_steps.Errors(np.asarray([1.0, 2.0]))
    (row,) = few_steps.compare_with_diffusers(10, ours, missing, known)
    assert row.missing == missing
    assert row.ours.value == pytest.approx(1.5**0.5)


def test_missing_runs_are_named_with_their_commands(tmp_path):
    for options, word in (
        (BenchmarkOptions(), "--runs"),
        (BenchmarkOptions(runs=tmp_path), str(tmp_path)),
    ):
        (row,) = sampling.rows(options)
        assert word in row.missing
        assert "sde-jax train digits_vp" in row.missing
        assert row.at_least == 40
        rows = list(few_steps_trained.rows(options))
        assert [row.case.partition(",")[0] for row in rows] == [
            *few_steps_trained.DIGITS,
            *few_steps_trained.MNIST,
        ]
        for row in rows:
            assert f"train {row.case.partition(',')[0]}" in row.missing


class Gaussian:
    """Replaces a run by one with an exact score; its distance compares mean and deviation."""

    def __init__(self, dimension):
        sde = VP()
        self.score = MixtureScore(cases.gaussian(dimension), sde)
        self.run = types.SimpleNamespace(
            layout=types.SimpleNamespace(shape=(dimension,)),
            experiment=types.SimpleNamespace(process=sde),
        )

    def distance(self, x):
        error = cases.DEVIATION / (2 * x.size) ** 0.5
        value = (x.std() - cases.DEVIATION) ** 2 + (x.mean() - cases.MEAN) ** 2
        return FrechetDistance(float(value), error**2, 0.0, (len(x), None), (1, 1), 1)


@pytest.fixture
def short_chain(monkeypatch):
    monkeypatch.setattr(sampling, "STEPS", 200)


def test_python_loop_draws_from_the_data_as_the_library_does(short_chain):
    trained = Gaussian(32)
    x = sampling.python_loop(trained, 100)(0)
    # The last step removes its noise; Langevin steps of this size widen the data slightly.
    assert x.mean() == pytest.approx(cases.MEAN, abs=0.03)
    whole = sampling.compile_sampler(trained, sampling.peer_sampler(), 100).draw(0)
    assert x.std() == pytest.approx(float(whole.std()), abs=0.02)
    assert x.std() == pytest.approx(cases.DEVIATION, abs=0.05)


def test_fewest_steps_are_those_that_reach_the_peer(monkeypatch):
    trained = Gaussian(32)

    def too_wide(trained, sampler, batch):
        width = cases.DEVIATION * (1 + 1 / sampler.grid.steps)

        def draw(number):
            noise = np.random.default_rng(number).normal(size=(batch, 32))
            return cases.MEAN + width * noise

        return sampling.SamplerProgram(draw, CompiledProgram(None, 1.5, 7))

    monkeypatch.setattr(sampling, "compile_sampler", too_wide)
    monkeypatch.setattr(conditions, "speed_of", lambda library: 0.9)
    # The deviation is too large by .044 in 9 steps and by .05 in 8.
    peer = FrechetDistance(0.047**2, 0.0, 0.0, (100, None), (1, 1), 1)
    found = sampling.fewest_steps(trained, sampling.candidates(), peer, 400, 3)
    assert found.evaluations == 10
    assert len(found.samples.seconds) == 3
    assert found.samples.conditions.ours == 0.9
    assert found.program.costs() == {"compile_seconds": 1.5, "peak_bytes": 7}
    monkeypatch.setattr(sampling, "CANDIDATE_STEPS", (1, 2))
    with pytest.raises(AssertionError, match="3 evaluations are not enough"):
        sampling.fewest_steps(trained, sampling.candidates(), peer, 400, 2)
