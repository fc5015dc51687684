"""Tests of ``likelihood``: its table, its summary, and what it refuses."""

import csv
import math

import numpy as np
import pytest
from in_process import contents, refusal, run_command, succeed

from sde_jax.data import Layout, PointScaling
from sde_jax.recipes.interfaces import Measured
from sde_jax.runs.measurement import summarize
from sde_jax.runs.steps import shared_error

COLUMNS = ["index", "nats", "bits_per_dim", "probe_stderr", "nfe"]


def table(path):
    """The columns of a table, by name."""
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == COLUMNS
    return dict(zip(COLUMNS, np.asarray(rows[1:], float).T, strict=True))


def measured(run, out, *options):
    results = succeed("likelihood", run, "--tolerance", 0.001, "--out", out, *options)
    return results, table(results["out"])


@pytest.fixture(scope="module")
def eleven(ring_run, tmp_path_factory):
    """Results and table of eleven examples in two batches."""
    out = tmp_path_factory.mktemp("likelihood") / "eleven"
    return measured(ring_run, out, "--count", 11, "--batch-size", 8, "--probes", 2)


def test_the_summary_is_that_of_the_table(eleven):
    results, columns = eleven
    assert results["out"].endswith("/eleven.csv")
    assert results["count"] == 11
    assert results["failed"] == []
    np.testing.assert_array_equal(columns["index"], np.arange(11))
    bits = columns["bits_per_dim"]
    np.testing.assert_allclose(results["bits_per_dim"], bits.mean(), rtol=1e-6)
    np.testing.assert_allclose(results["stderr"], bits.std(ddof=1) / 11**0.5, rtol=1e-5)
    np.testing.assert_allclose(results["nfe"], columns["nfe"].mean(), rtol=1e-6)
    assert results["nfe_max"] == columns["nfe"].max()
    np.testing.assert_allclose(bits, -columns["nats"] / (2 * math.log(2)), rtol=1e-5)


def test_two_probes_give_a_standard_error(eleven):
    results, columns = eleven
    errors = columns["probe_stderr"]
    assert (errors >= 0).all() and (errors > 0).any()
    np.testing.assert_allclose(results["probe_stderr"], (errors**2).sum() ** 0.5 / 11, rtol=1e-5)


@pytest.mark.parametrize("count", [3, pytest.param(11, marks=pytest.mark.slow)])
def test_an_example_does_not_depend_on_count_or_batch(ring_run, tmp_path, eleven, count):
    _, columns = measured(ring_run, tmp_path / "t", "--count", count, "--probes", 2)
    np.testing.assert_array_equal(columns["index"], np.arange(count))
    # Rounding, as the solver's steps amplify it.
    np.testing.assert_allclose(columns["nats"], eleven[1]["nats"][:count], atol=1e-3)


def test_fixed_steps_agree_with_the_adaptive_solver(ring_run, tmp_path, eleven):
    """Up to the error that they state, and that of the solver's tolerance."""
    options = ("--steps", 60, "--count", 11, "--probes", 2, "--out", tmp_path / "fixed.csv")
    results = succeed("likelihood", ring_run, *options)
    assert results["nfe"] == 61 and results["step_error"] > 0
    difference = table(tmp_path / "fixed.csv")["bits_per_dim"] - eleven[1]["bits_per_dim"]
    assert (difference**2).mean() ** 0.5 < 2 * results["step_error"] + 1e-3


@pytest.mark.slow("test_fixed_steps_agree_with_the_adaptive_solver")
def test_fixed_steps_find_what_the_adaptive_solver_does(tiny_run, tmp_path):
    """With the same probes, in the evaluations that were asked for, and say what they leave."""
    found, expected = tmp_path / "fixed.csv", tmp_path / "adaptive.csv"
    shared = ("--count", 20, "--out")
    succeed("likelihood", tiny_run, "--tolerance", 1e-6, *shared, expected)
    results = succeed("likelihood", tiny_run, "--steps", 60, *shared, found)
    assert results["nfe"] == 61 and 0 < results["step_error"] < 0.05
    difference = table(found)["bits_per_dim"] - table(expected)["bits_per_dim"]
    assert (difference**2).mean() ** 0.5 < 2 * results["step_error"]
    coarse = succeed("likelihood", tiny_run, "--steps", 8, *shared, tmp_path / "coarse.csv")
    assert coarse["step_error"] > 10 * results["step_error"]


def test_the_error_of_steps_is_that_of_the_pilots_without_their_mean():
    """Deviation 1, a mean known from three, and a fifteenth of it that finer steps leave."""
    error = shared_error(np.asarray([2.0, np.nan, 4.0, 3.0]))
    assert error.mean == 3
    assert error.left == pytest.approx((1 + 1 / 3 + (3 / 15) ** 2) ** 0.5)
    unknown = shared_error(np.asarray([np.nan, 1.0]))
    assert unknown.mean == 0 and np.isnan(unknown.left)


@pytest.mark.slow("test_the_error_of_steps_is_that_of_the_pilots_without_their_mean")
def test_the_error_that_images_share_is_removed(digits_run, tmp_path):
    """Against many steps: the stated error is right, and what was removed is most of it."""
    shared = ("--count", 24, "--batch-size", 24, "--out")
    results = succeed("likelihood", digits_run, "--steps", 12, *shared, tmp_path / "few.csv")
    succeed("likelihood", digits_run, "--steps", 120, *shared, tmp_path / "many.csv")
    few, many = (table(tmp_path / f"{name}.csv")["bits_per_dim"] for name in ("few", "many"))
    error = ((few - many) ** 2).mean() ** 0.5
    with_it = ((few + results["common_error"] - many) ** 2).mean() ** 0.5
    assert results["step_error"] / 2 < error < 2 * results["step_error"]
    assert error < with_it


def test_another_seed_probes_anew(ring_run, tmp_path, eleven):
    """In two dimensions, half of all pairs of probes are equal but for their sign."""
    options = ("--count", 11, "--batch-size", 8, "--probes", 2, "--seed", 1)
    _, other = measured(ring_run, tmp_path / "other", *options)
    equal, before = (columns["probe_stderr"] < 1e-6 for columns in (other, eleven[1]))
    assert equal.any() and (equal != before).any()


def test_images_have_bits_of_their_levels(tiny_run, tmp_path):
    options = ["--count", 9, "--batch-size", 8, "--out", tmp_path / "digits"]
    results = succeed("likelihood", tiny_run, *options)
    columns = table(results["out"])
    assert len(columns["nats"]) == results["count"] == 9
    assert results["dimensions"] == 64
    expected = -columns["nats"] / (64 * math.log(2))
    np.testing.assert_allclose(columns["bits_per_dim"], expected, rtol=1e-5)
    assert np.isnan(columns["probe_stderr"]).all()


def test_a_bound_names_its_protocol_and_what_it_measures(tiny_run, tmp_path):
    """Its error over draws is that of the table, which has a column for it."""
    out = tmp_path / "bound.csv"
    options = ("--protocol", "score-bound", "--samples", 10, "--count", 5, "--out", out)
    results = succeed("likelihood", tiny_run, *options)
    assert results["protocol"] == "score-bound"
    assert results["measures"] == "bound on the density of dequantized data"
    assert results["nfe"] == 11 and results["probe_stderr"] is None
    columns = np.genfromtxt(out, delimiter=",", names=True)
    errors = columns["draw_stderr"]
    np.testing.assert_allclose(results["draw_stderr"], (errors**2).sum() ** 0.5 / 5, rtol=1e-5)


@pytest.mark.slow("tests/runs/test_multilevel.py::test_few_examples_are_measured_in_many_steps")
def test_steps_of_several_numbers_give_the_mean_of_many_steps(ring_run):
    """Of the same examples and probes, to the error that they state."""
    shared = ("--count", 64, "--probes", 4)
    several = succeed("likelihood", ring_run, "--steps", "auto", "--stderr", 0.003, *shared)
    many = succeed("likelihood", ring_run, "--steps", 512, *shared)
    assert several["count"] == 64 and several["counts_by_steps"]["16"] == 64
    assert abs(several["bits_per_dim"] - many["bits_per_dim"]) < 5 * several["solver_stderr"]
    assert several["solver_stderr"] < 0.004
    assert several["stderr"] == pytest.approx(many["stderr"], rel=0.1)


def test_a_run_of_dequantized_data_is_refused_the_truncated_protocol(tiny_run):
    message = refusal("likelihood", tiny_run, "--protocol", "truncated")
    assert "this one was trained with `data.dequantize`: use uniform" in message


@pytest.mark.slow("test_a_summary_leaves_out_what_failed")
def test_a_failed_solve_is_named_and_counted_in_no_mean(ring_run, tmp_path):
    options = ["--tolerance", 1e-30, "--count", 2, "--out", tmp_path / "failed"]
    outcome = run_command("likelihood", ring_run, *options)
    assert outcome.code == 1
    assert outcome.messages == ["error: no result for example 0, 1: its solve failed."]
    assert outcome.results["failed"] == [0, 1]
    assert outcome.results["bits_per_dim"] is None
    assert np.isnan(table(tmp_path / "failed.csv")["nats"]).all()


def test_a_summary_leaves_out_what_failed():
    bits = np.asarray([2.0, 3.0, np.nan, 7.0])
    measured = Measured(
        nats=-bits,
        bits_per_dim=bits,
        probe_stderr=np.asarray([0.3, 0.4, np.nan, 1.2]),
        nfe=np.asarray([10, 20, 30, 40]),
        converged=np.asarray([True, True, False, True]),
    )
    summary = summarize(measured, Layout((64,), PointScaling()))
    assert summary["bits_per_dim"] == 4
    # Deviations -2, -1 and 3: variance 7 over 3 - 1 examples, of the mean 7 / 3.
    np.testing.assert_allclose(summary["stderr"], (7 / 3) ** 0.5)
    np.testing.assert_allclose(summary["probe_stderr"], 1.3 / 3)
    assert summary["nfe"] == 25
    assert summary["nfe_max"] == 40
    assert summary["failed"] == [2]
    assert summary["count"] == 4


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--split", "validation"], "--split must be one of train, test: got validation"),
        (["--probes", 0], "`probes` must be at least 1"),
        (["--tolerance", -1], "`tolerance` must be positive"),
        (["--t-min", 1], "`t_min` must be in [0, 1)"),
        (["--count", 0], "`count` must be at least 1"),
        (["--count", "all"], "--count takes an integer: got 'all'"),
        (["--batch-size", 0], "`batch_size` must be at least 1"),
        (["--seed", 2**32], "`seed` must lie between"),
        (["--steps", 7], "--steps must be at least 8: got 7."),
        (["--steps", 50, "--method", "bosh3"], "--tolerance and --method are of adaptive solvers"),
        (["--sampler", "ode"], "Unrecognized options: --sampler, ode"),
        (["--protocol", "best"], "--protocol"),
        (["--steps", "many"], "--steps"),
        (["--stderr", 0.1], "--stderr has no effect unless --steps is auto"),
        (["--steps", "auto", "--stderr", 0], "--stderr must be positive and finite"),
        (["--steps", "auto", "--out", "some.csv"], "--steps auto measures the mean alone"),
        (["--steps", "auto", "--count", 1], "the mean needs two examples or more"),
        pytest.param(
            ["--steps", "auto", "--count", 2, "--stderr", 1e-9],
            "which 512 steps may leave",
            marks=pytest.mark.slow,
        ),
        (["--protocol", "truncated"], "continuous data have a density but no grey levels"),
        (["--samples", 0], "`samples` must be at least 1"),
        (["--samples", 2], "continuous data have a density but no grey levels"),
        (["--protocol", "score-bound", "--probes", 2], "`probes` has no effect unless"),
        (["--protocol", "score-bound", "--steps", 20], "--steps does not apply to --protocol"),
    ],
)
def test_options_are_refused(ring_copy, options, complaint):
    before = contents(ring_copy)
    assert complaint in refusal("likelihood", ring_copy, *options)
    assert contents(ring_copy) == before


def test_nothing_is_written_over(ring_run, tmp_path):
    (tmp_path / "mine.csv").write_text("mine")
    for name in ("mine", "mine.csv"):
        assert "exists already" in refusal("likelihood", ring_run, "--out", tmp_path / name)
    assert "is a folder" in refusal("likelihood", ring_run, "--out", tmp_path)
    assert (tmp_path / "mine.csv").read_text() == "mine"
